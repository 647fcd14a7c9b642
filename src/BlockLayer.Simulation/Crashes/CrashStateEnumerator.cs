namespace BlockLayer.Simulation;

/// <summary>Chooses which fates of the pending operations are tried. A fate is null (lost), all sectors, or some sectors.</summary>
internal sealed class CrashStateEnumerator(CrashOperation[] operations, CrashEnumeration options, ulong imageNumber)
{
    private const int MaxExhaustive = 20;         // a million subsets
    private const int EveryTearUpToSectors = 4;   // beyond, first, middle and last boundaries and random sectors
    private const int SeededTears = 4;
    private const long MaxSeededSectors = 1 << 16; // random sectors of a range of gigabytes would be walked one by one

    private readonly SeededRandom _random = new SeededRandom(options.Seed).Fork(imageNumber);
    private readonly HashSet<string> _seen = new(StringComparer.Ordinal);

    internal IEnumerable<SectorPattern?[]> Enumerate()
        => WholeStates().Concat(options.TornWrites ? TornStates().Concat(RandomTornStates()) : []).Where(IsNew);

    private IEnumerable<SectorPattern?[]> WholeStates()
    {
        int count = operations.Length;
        if (count <= Math.Min(options.ExhaustiveLimit, MaxExhaustive))
        {
            for (long bits = 0; bits < 1L << count; bits++)
            {
                long survivors = bits;
                yield return Fates(i => ((survivors >> i) & 1) != 0);
            }

            yield break;
        }

        for (int length = 0; length <= count; length++)
        {
            yield return Prefix(length);
        }

        for (int lost = 0; lost < count; lost++)
        {
            yield return AllBut(lost);
        }

        double possible = Math.Pow(2, count) - (2 * count);
        int wanted = (int)Math.Min(options.RandomSubsets, possible);
        for (int found = 0; found < wanted;)
        {
            // Thin, even and dense subsets; drawn again until it is one that was not tried yet.
            double survives = 0.25 * (1 + _random.Next(3));
            SectorPattern?[] fates = Fates(_ => _random.Chance(survives));
            if (!_seen.Contains(Key(fates)))
            {
                found++;
                yield return fates;
            }
        }
    }

    private IEnumerable<SectorPattern?[]> TornStates()
    {
        for (int torn = 0; torn < operations.Length; torn++)
        {
            foreach (SectorPattern pattern in Tears(operations[torn]))
            {
                SectorPattern?[] prefix = Prefix(torn + 1);
                prefix[torn] = pattern;
                yield return prefix;
                SectorPattern?[] others = AllBut(torn);
                others[torn] = pattern;
                yield return others;
            }
        }
    }

    private IEnumerable<SectorPattern?[]> RandomTornStates()
    {
        SectorPattern[][] tears = Array.ConvertAll(operations, static operation => Tears(operation).ToArray());
        if (Array.TrueForAll(tears, choices => choices.Length == 0))
        {
            yield break;
        }

        for (int state = 0; state < options.RandomTornStates; state++)
        {
            var fates = new SectorPattern?[operations.Length];
            for (int i = 0; i < fates.Length; i++)
            {
                int choice = _random.Next(3);
                fates[i] = choice == 0 ? null
                    : choice == 1 || tears[i].Length == 0 ? SectorPattern.All
                    : tears[i][_random.Next(tears[i].Length)];
            }

            yield return fates;
        }
    }

    /// <summary>The parts of an operation that may have survived alone.</summary>
    internal static IEnumerable<SectorPattern> Tears(CrashOperation operation)
    {
        if (!operation.CanTear)
        {
            yield break;
        }

        PendingOperation pending = operation.Operation;
        long sectors = operation.SectorCount;
        if (sectors <= EveryTearUpToSectors)
        {
            ulong whole = (1UL << (int)sectors) - 1;
            for (ulong mask = 1; mask < whole; mask++)
            {
                yield return SectorPattern.Mask(mask);
            }
        }
        else
        {
            foreach (long part in new[] { 1, sectors / 2, sectors - 1 })
            {
                yield return SectorPattern.First(part);
                yield return SectorPattern.Last(part);
            }

            for (int i = 0; i < SeededTears && sectors <= MaxSeededSectors; i++)
            {
                yield return SectorPattern.Seeded((uint)((pending.Number * SeededTears) + i));
            }
        }

        // File systems may make a new length durable before the bytes that caused it; the new part then reads as zeroes.
        if (pending.Call.Kind == StorageOperations.Write && pending.Call.Range.End > pending.File!.Durable.Length)
        {
            yield return SectorPattern.LengthOnly;
        }
    }

    private SectorPattern?[] Prefix(int length) => Fates(i => i < length);

    private SectorPattern?[] AllBut(int lost) => Fates(i => i != lost);

    private SectorPattern?[] Fates(Func<int, bool> survives)
    {
        var fates = new SectorPattern?[operations.Length];
        for (int i = 0; i < fates.Length; i++)
        {
            fates[i] = survives(i) ? SectorPattern.All : null;
        }

        return fates;
    }

    private bool IsNew(SectorPattern?[] fates) => _seen.Add(Key(fates));

    private static string Key(SectorPattern?[] fates) => CrashLine.Write(0, fates);
}
