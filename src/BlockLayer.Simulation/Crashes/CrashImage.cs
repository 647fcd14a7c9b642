using System.Globalization;

namespace BlockLayer.Simulation;

/// <summary>
/// What a crash at one moment could leave: what was durable for certain, and the operations of which any may or may not have reached the disk. Immutable;
/// taking one costs little, because bytes are shared with the running storage until either changes them.
/// </summary>
public sealed class CrashImage
{
    private readonly Dictionary<CachedFile, SparseContent> _durable = [];
    private readonly KeyValuePair<string, CachedFile>[] _durableNames;
    private readonly CrashOperation[] _operations;

    internal CrashImage(int number, string reason, CachedVolume volume, object? observation)
    {
        Number = number;
        Reason = reason;
        Observation = observation;
        _durableNames = [.. volume.DurableNames];
        IEnumerable<PendingOperation> nameChanges = volume.NameChanges.Select(change => change.Operation);
        IEnumerable<CachedFile> reachable = volume.DurableNames.Values.Concat(nameChanges.Select(operation => operation.File).OfType<CachedFile>());
        var pending = new List<PendingOperation>(nameChanges);
        foreach (CachedFile file in reachable)
        {
            if (_durable.TryAdd(file, file.Durable.Fork()))
            {
                pending.AddRange(file.Completed);
                pending.AddRange(file.InFlight);
            }
        }

        // In the order in which they took effect; those that have not yet, in the order in which they were issued.
        pending.Sort(static (left, right) => (left.CompletedAt, left.Number).CompareTo((right.CompletedAt, right.Number)));
        _operations = [.. pending.Select(operation => new CrashOperation(operation, operation.Extent, operation.IsCompleted))];
    }

    /// <summary>Position among the images of its recorder, from 0.</summary>
    public int Number { get; }

    /// <summary>What was about to happen.</summary>
    public string Reason { get; }

    /// <summary>What <see cref="CrashRecorder.Observe"/> answered at this moment.</summary>
    public object? Observation { get; }

    /// <summary>The pending operations, in order, for people.</summary>
    public IReadOnlyList<string> Operations => Array.ConvertAll(_operations, operation => operation.ToString());

    /// <summary>The states to try, each once, in an order that never changes; the one in which nothing pending survived comes first.</summary>
    public IEnumerable<CrashState> EnumerateStates(CrashEnumeration? options = null)
        => new CrashStateEnumerator(_operations, options ?? new CrashEnumeration(), (ulong)Number)
            .Enumerate()
            .Select(fates => new CrashState(this, fates));

    /// <summary>The state in which everything pending was lost.</summary>
    public CrashState NothingSurvived => new(this, new SectorPattern?[_operations.Length]);

    /// <summary>The state in which everything pending survived whole: the one that a killed process leaves, if requests in flight were carried out.</summary>
    public CrashState EverythingSurvived
    {
        get
        {
            var fates = new SectorPattern?[_operations.Length];
            Array.Fill(fates, SectorPattern.All);
            return new CrashState(this, fates);
        }
    }

    /// <summary>One state that chance picks: all up to some operation, all but one, or any of them; some of them torn.</summary>
    internal CrashState PickState(SeededRandom random)
    {
        var fates = new SectorPattern?[_operations.Length];
        int at = random.Next(fates.Length + 1);
        int kind = random.Next(4);
        double survives = 0.25 * (1 + random.Next(3));
        double tears = random.Next(2) * 0.25;
        for (int i = 0; i < fates.Length; i++)
        {
            bool isLost = kind switch
            {
                0 => i >= at,
                1 => i == at,
                _ => !random.Chance(survives),
            };
            fates[i] = isLost ? null : random.Chance(tears) ? PickTear(_operations[i], random) : SectorPattern.All;
        }

        return new CrashState(this, fates);
    }

    private static SectorPattern PickTear(CrashOperation operation, SeededRandom random)
    {
        SectorPattern[] tears = [.. CrashStateEnumerator.Tears(operation)];
        return tears.Length == 0 ? SectorPattern.All : tears[random.Next(tears.Length)];
    }

    /// <summary>The state that a line names which <see cref="CrashState.ToString"/> wrote for this image.</summary>
    /// <exception cref="FormatException">The line names no state of this image.</exception>
    public CrashState FindState(string line) => new(this, CrashLine.ReadFates(line, _operations.Length));

    /// <inheritdoc/>
    public override string ToString()
        => string.Create(CultureInfo.InvariantCulture, $"crash point {Number} ({Reason}), {_operations.Length} pending operations");

    /// <summary>Puts the files of a state into a volume of their own.</summary>
    internal CachedVolume Materialise(IReadOnlyList<SectorPattern?> fates, WriteCacheMode writeCache)
    {
        var names = new SortedDictionary<string, CachedFile>(StringComparer.Ordinal);
        foreach ((string path, CachedFile file) in _durableNames)
        {
            names.Add(path, file);
        }

        var contents = new Dictionary<CachedFile, SparseContent>();
        for (int i = 0; i < _operations.Length; i++)
        {
            if (fates[i] is not { } fate)
            {
                continue;
            }

            (PendingOperation operation, SectorPattern extent, _) = _operations[i];
            if (operation.Call.Kind is StorageOperations.Create or StorageOperations.Rename or StorageOperations.Delete)
            {
                CachedVolume.Apply(operation, names);
            }
            else
            {
                operation.ApplyTo(ContentOf(operation.File!), extent.IsAll ? fate : extent);
            }
        }

        var volume = new CachedVolume(writeCache);
        foreach ((string path, CachedFile file) in names)
        {
            volume.AddDurable(path, ContentOf(file), file.Inode);
        }

        return volume;

        SparseContent ContentOf(CachedFile file)
        {
            if (!contents.TryGetValue(file, out SparseContent? content))
            {
                contents.Add(file, content = _durable[file].Fork());
            }

            return content;
        }
    }

    internal string Describe(int operation) => _operations[operation].ToString();
}
