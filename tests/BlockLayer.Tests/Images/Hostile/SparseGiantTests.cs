using BlockLayer.Errors;
using BlockLayer.TestKit.Formats.Qcow2;
using BlockLayer.TestKit.Hostile;
using BlockLayer.Tests.Images.Hostile.Structures;
using Xunit;

namespace BlockLayer.Tests.Images.Hostile;

/// <summary>
/// Line 2.20: files of 8 EiB that are a hole but for their first kilobytes. Whatever is inside such a file is "inside the file", so a length is no bound for anything:
/// calls, bytes and memory are those of what was written, or of the largest table a format allows. Each goes through inspection, description, reading, check, writes, repair.
/// </summary>
public sealed class SparseGiantTests
{
    private const long Giant = long.MaxValue - (1 << 21);
    private const long Mebibyte = 1 << 20;
    private const long CallBudget = 20_000;
    private const string Bytes = "version 3, 8-bit refcounts, compressed by zlib";
    private const string Small = "version 2, clusters of 512";

    private static readonly Case[] s_cases =
    [
        new("2.20 sparse 8 EiB file: raw", "raw", new byte[4096]),
        new("2.20 sparse 8 EiB file: QED", "qed", QedSeeds.All[0].Bytes) { Write = BlockErrorKind.NoSpace }, // it allocates at the end of the file
        new("2.20 sparse 8 EiB file: add-cow", "add-cow", CowOverlaySeeds.All[0].Bytes),
        Qcow2("2.20 sparse 8 EiB file: qcow2", Bytes, static _ => { }),
        Qcow2("2.20 sparse 8 EiB file: clusters of 512", Small, static _ => { }),

        // Rebuilt counts lie behind everything, where no refcount table reaches: refused before anything is written.
        Qcow2("2.20 sparse 8 EiB file: dirty bit", Bytes, static image => image.Write(Qcow2Case.IncompatibleAt, 1)) with { Write = BlockErrorKind.NoSpace },
        Qcow2("2.20 sparse 8 EiB file: entries lead all over it", Small, static image => Scatter(image)) with { Write = BlockErrorKind.Corrupt },
        Qcow2("2.20 sparse 8 EiB file: dirty bit, and entries lead all over it", Bytes, static image =>
        {
            image.Write(Qcow2Case.IncompatibleAt, 1);
            Scatter(image);
        }) with { Write = BlockErrorKind.NoSpace },
        Qcow2("2.20 sparse 8 EiB file: entries lead to its end", Small, static image => image.Write(image.DataEntry(), 1UL << 63 | (1UL << 56) - 512)),
        Qcow2("2.20 sparse 8 EiB file: two users of one cluster", Small, static image => image.Write(image.DataEntry(), image.Read(image.DataEntry(1)))),
        Qcow2("2.20 sparse 8 EiB file: refcount block nowhere", Bytes, static image => image.Flip(image.RefcountTable, 512)) with { Write = BlockErrorKind.Corrupt },
        Qcow2("2.20 sparse 8 EiB file: refcount block in the hole", Bytes, static image => image.Write(image.RefcountTable, 1UL << 62)) with { Write = BlockErrorKind.Corrupt },
        Qcow2("2.20 sparse 8 EiB file: refcount table of 8 MiB in the hole", Bytes, static image =>
        {
            image.Write(Qcow2Case.RefcountTableOffsetAt, 1UL << 62);
            image.Write32(Qcow2Case.RefcountTableClustersAt, 8192);
        }) with { Memory = 256 * Mebibyte, Write = BlockErrorKind.Corrupt },
        Qcow2("2.20 sparse 8 EiB file: L1 table of 32 MiB in the hole", Bytes, static image =>
        {
            image.Write(Qcow2Case.L1TableOffsetAt, 1UL << 62);
            image.Write32(Qcow2Case.L1SizeAt, 4 << 20);
        }) with { Memory = 1024 * Mebibyte },
        Qcow2("2.20 sparse 8 EiB file: 65536 snapshots in the hole", Bytes, static image =>
        {
            image.Write(Qcow2Case.SnapshotsOffsetAt, 1UL << 62);
            image.Write32(Qcow2Case.SnapshotCountAt, 65536);
        }) with { Memory = 512 * Mebibyte },
    ];

    public static TheoryData<string> Names() => [.. s_cases.Select(static hostile => hostile.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_hole_of_eight_exbibytes_costs_nothing(string name)
    {
        Case hostile = s_cases.Single(candidate => candidate.Name == name);
        var exercise = new ImageExercise();
        Put();
        long before = GC.GetAllocatedBytesForCurrentThread();
        exercise.Inspect(hostile.Format);
        exercise.Describe(hostile.Format);
        ExerciseReport read = exercise.Read(hostile.Format);
        Assert.Null(read.Close);
        Assert.Null(read.Check);
        Assert.Equal(0, exercise.Files.BytesWritten);
        ExerciseReport write = exercise.Write(hostile.Format, new Random(1));
        Assert.Equal(hostile.Write, (write.Open ?? write.Write)?.Kind);
        Put();
        RepairOutcome repair = exercise.Repair(hostile.Format);
        Assert.Equal(repair.Before.Count, repair.After.Count);
        Assert.All(repair.Before.Zip(repair.After), static piece => Assert.True(piece.First is null || piece.First == piece.Second, "a repair changed what can be read"));
        Assert.DoesNotContain("There is room for", repair.Repair?.Message ?? "", StringComparison.Ordinal); // nothing is copied to where no entry can lead
        long memory = GC.GetAllocatedBytesForCurrentThread() - before;
        TestContext.Current.TestOutputHelper?.WriteLine($"{read.Open?.Message} | {read.ReadAll?.Message} | {read.CheckReport?.Corruptions} {read.CheckReport?.Leaks} {read.CheckReport?.CheckErrors} | {write.Write?.Message} | {repair.Repair?.Message} | {exercise.Files.Calls} calls, {exercise.Files.BytesRead >> 10} KiB, {memory >> 10} KiB");
        Assert.InRange(memory, 0, hostile.Memory);
        Assert.InRange(exercise.Files.BytesRead, 0, hostile.Memory);

        void Put()
        {
            exercise.Files.Put(ImageExercise.ImagePath, hostile.Head, Giant - hostile.Head.Length);
            exercise.Files.Put(ImageExercise.BasePath, SeedWorld.Base);
            exercise.Files.Put(ImageExercise.DataPath, new byte[CowOverlaySeeds.Length]);
            exercise.Files.Reset();
            exercise.Files.CallBudget = CallBudget;
        }
    }

    private static Case Qcow2(string name, string seed, Action<DamagedImage> spoil)
    {
        var image = new DamagedImage([.. Qcow2Seeds.Get(seed).Bytes]);
        spoil(image);
        return new Case(name, "qcow2", image.File);
    }

    /// <summary>Every entry of the first L2 table leads to a place of its own, far from all others.</summary>
    private static void Scatter(DamagedImage image)
    {
        long table = image.L2;
        for (int i = 0; i < image.Geometry.L2Entries; i++)
        {
            image.Write(table + (8 * i), 1UL << 63 | ((ulong)i + 1) << 48);
        }
    }

    /// <param name="Name">The number in the corpus, and what is in the file.</param>
    /// <param name="Format">As what it is inspected and opened.</param>
    /// <param name="Head">What was written of it.</param>
    private sealed record Case(string Name, string Format, byte[] Head)
    {
        /// <summary>Bytes that everything together may allocate, or read.</summary>
        internal long Memory { get; init; } = 8 * Mebibyte;

        /// <summary>What writing is refused with, if it is.</summary>
        internal BlockErrorKind? Write { get; init; }
    }
}
