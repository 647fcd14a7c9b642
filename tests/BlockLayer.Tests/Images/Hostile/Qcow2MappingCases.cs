using System.IO.Compression;
using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.TestKit.Formats.Qcow2;
using BlockLayer.TestKit.Hostile;
using static BlockLayer.Tests.Images.Hostile.Qcow2Bytes;
using static BlockLayer.Tests.Images.Hostile.Qcow2CorpusCase;

namespace BlockLayer.Tests.Images.Hostile;

/// <summary>Lines 9 to 12 of the corpus of qcow2: the L1 table, what its entries lead to, what theirs lead to, and streams.</summary>
internal static class Qcow2MappingCases
{
    private const ulong Copied = 1UL << 63;
    private const ulong Compressed = 1UL << 62;
    private const InspectionVerdict Damaged = InspectionVerdict.Damaged;

    internal static IEnumerable<Qcow2CorpusCase> All => [.. L1Tables, .. L2Pointers, .. DataClusters, .. Streams];

    private static IEnumerable<Qcow2CorpusCase> L1Tables =>
    [
        Reject("2.9 size 0", Sound.With32(36, 0)),
        Reject("2.9 over 32 MiB", Sound.With32(36, (4 << 20) + 1)),
        Reject("2.9 2^32-1 entries", Sound.With32(36, uint.MaxValue)),
        Reject("2.9 too small for the virtual size", Version2.With32(36, 1)),
        Reject("2.9 longer than the file", Sound.With32(36, 1 << 20), BlockErrorKind.Corrupt),
        Reject("2.9 unaligned", Sound.With64(40, 1536)),
        Reject("2.9 past the end", Sound.With64(40, 1 << 30), BlockErrorKind.Corrupt),
        Reject("2.9 near 2^63", Sound.With64(40, long.MaxValue & ~1023), BlockErrorKind.Corrupt),
        Reject("2.9 at 2^63", Sound.With64(40, 1UL << 63)),
        Reject("2.9 in the header", Sound.With64(40, 0), BlockErrorKind.Corrupt),
        Reject("2.9 in the refcount table", Sound.Change(image => image.Write(40, (ulong)image.RefcountTable)), BlockErrorKind.Corrupt),

        // Counts of one byte each, taken for an entry: a table far behind the end.
        Local("2.9 in a refcount block", Sound.Change(image => image.Write(40, (ulong)image.RefcountBlock)), Damaged) with { RefusesWrites = true },
    ];

    private static IEnumerable<Qcow2CorpusCase> L2Pointers =>
    [
        Local("2.10 unaligned", Table(_ => 0x1200), Damaged),
        Local("2.10 past the end", Table(_ => 1 << 30), Damaged),
        Local("2.10 at 2^55", Table(_ => 1L << 55), Damaged),
        Checked("2.10 above 2^56", Sound.Change(image => image.Flip(image.UsedL1Entry, 1UL << 56)), Damaged),
        Local("2.10 into the header", Table(_ => 512), Damaged),
        Checked("2.10 into the L1 table, which is the entry's own", Table(image => image.L1)) with { RefusesWrites = true },
        Checked("2.10 into the refcount table", Table(image => image.RefcountTable)) with { RefusesWrites = true },
        Local("2.10 into a refcount block", Table(image => image.RefcountBlock)) with { RefusesWrites = true },
        Local("2.10 into guest data", Table(image => image.Data)),
        Checked("2.10 two L1 entries with one L2 table", Version2.Change(image => image.Write(image.L1 + 8, image.Read(image.L1)))) with { RefusesWrites = true },
        Checked("2.10 reserved high bit", Sound.Change(image => image.Flip(image.UsedL1Entry, 1UL << 60)), Damaged),
        Checked("2.10 reserved low bit", Sound.Change(image => image.Flip(image.UsedL1Entry, 1)), Damaged),
    ];

    private static IEnumerable<Qcow2CorpusCase> DataClusters =>
    [
        Local("2.11 unaligned", Sound.Change(image => image.Flip(image.DataEntry(), 512))),
        Local("2.11 past the end", Data(_ => 1 << 30)),
        Local("2.11 in the header", Data(_ => 512)),

        // qcow2 spec, "Standard Cluster Descriptor": offset 0 is no cluster, whatever the flag says.
        Odd("2.11 host offset 0", Data(_ => 0)),
        Hit("2.11 in the L1 table", image => image.L1),
        Hit("2.11 in its own L2 table", image => image.L2),
        Hit("2.11 in the refcount table", image => image.RefcountTable),
        Hit("2.11 in a refcount block", image => image.RefcountBlock),
        Checked("2.11 in the snapshot table", Snapshots.Change(image => image.Write(image.DataEntry(), Copied | (ulong)image.Snapshots))) with { RefusesWrites = true },
        Checked("2.11 in a snapshot's L1 table", Snapshots.Change(image => image.Write(image.DataEntry(), Copied | image.Read(image.Snapshots)))) with { RefusesWrites = true },
        Checked("2.11 shared by two guest clusters with refcount 1", Sound.Change(image => image.Write(image.DataEntry(), image.Read(image.DataEntry(1))))),
        Checked("2.11 copied with refcount 2", Count(2)),
        Checked("2.11 copied with refcount 0", Count(0)) with { RefusesWrites = true },
        Local("2.11 preallocated zero, unaligned", Sound.Change(image => image.Flip(image.DataEntry(), 512 | 1))),
        Local("2.11 zero flag in version 2", Version2.Change(image => image.Flip(image.DataEntry(), 1))),
        Local("2.11 preallocated zero past the end", Sound.Change(image => image.Write(image.DataEntry(), Copied | 1 << 30 | 1))),
    ];

    private static IEnumerable<Qcow2CorpusCase> Streams =>
    [
        Checked("2.12 sectors beyond the end", WithLastStreamAtTheEnd()),
        Local("2.12 offset beyond the end", Stream(_ => Compressed | 1 << 30)),
        Checked("2.12 sectors beyond the next cluster", Stream(image => image.Read(image.StreamEntries.First()) | 3UL << 60)),
        Local("2.12 in the header", Stream(_ => Compressed | 600)),
        NotDamaged("2.12 output shorter than a cluster", Sound.Change(image => Replace(image, Deflate(500)))),
        Odd("2.12 output longer than a cluster", Sound.Change(image => Replace(image, Deflate(5_000)))),
        NotDamaged("2.12 corrupt stream", Sound.Change(image => Replace(image, [0xff, 0xff, 0xff, 0xff]))),
        NotDamaged("2.12 zstd frame with a window of terabytes", Zstd.Change(image => Replace(image, [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xff, 0x01, 0x00, 0x00]))),
        Odd("2.12 many clusters with one stream, all counted", Sound.Change(ShareOneStream)),
        Checked("2.12 many clusters with one stream, counted once", Sound.Change(ShareOneStreamCountedOnce)),
        Local("2.12 with a data file", Sound.WithDataFile("data"), InspectionVerdict.ReferencesOtherFiles) with { Opened = [ImageExercise.ImagePath, ImageExercise.DataPath] },
        Checked("2.12 copied and compressed", Stream(image => image.Read(image.StreamEntries.First()) | Copied)),
    ];

    /// <summary>The L2 table is elsewhere.</summary>
    private static byte[] Table(Func<DamagedImage, long> place) => Sound.Change(image => image.Write(image.UsedL1Entry, Copied | (ulong)place(image)));

    /// <summary>The first guest cluster is elsewhere.</summary>
    private static byte[] Data(Func<DamagedImage, long> place) => Sound.Change(image => image.Write(image.DataEntry(), Copied | (ulong)place(image)));

    private static Qcow2CorpusCase Hit(string name, Func<DamagedImage, long> place) => Checked(name, Data(place)) with { RefusesWrites = true };

    /// <summary>The first guest cluster's host cluster has this refcount.</summary>
    private static byte[] Count(byte refcount)
        => Sound.Change(image => image.File[image.RefcountBlock + (image.Data >> image.Geometry.ClusterBits)] = refcount);

    private static byte[] Stream(Func<DamagedImage, ulong> entry) => Sound.Change(image => image.Write(image.StreamEntries.First(), entry(image)));

    /// <summary>A stream that cannot be unpacked: its entry and its refcount are as they should be, so a check that follows entries has nothing to say.</summary>
    private static Qcow2CorpusCase NotDamaged(string name, byte[] image) => new(name, image, InspectionVerdict.Safe, null) { Read = BlockErrorKind.Corrupt };

    private static void Replace(DamagedImage image, byte[] stream)
        => stream.CopyTo(image.File, (int)new L2Entry(image.Read(image.StreamEntries.First())).Compressed(image.Geometry).Offset.Value);

    private static byte[] Deflate(int length)
    {
        using var packed = new MemoryStream();
        using (var deflater = new DeflateStream(packed, CompressionLevel.SmallestSize))
        {
            deflater.Write(new byte[length]);
        }

        return packed.ToArray();
    }

    private static void ShareOneStream(DamagedImage image)
    {
        ulong first = image.Read(image.StreamEntries.First());
        foreach (long at in image.StreamEntries.ToList())
        {
            image.Write(at, first);
        }
    }

    private static void ShareOneStreamCountedOnce(DamagedImage image)
    {
        ShareOneStream(image);
        long stream = new L2Entry(image.Read(image.StreamEntries.First())).Compressed(image.Geometry).Offset.Value;
        image.File[image.RefcountBlock + (stream >> image.Geometry.ClusterBits)] = 1;
    }

    /// <summary>The file ends with the last stream, and its entry claims three sectors more.</summary>
    private static byte[] WithLastStreamAtTheEnd() => Sound.Change(image =>
    {
        long last = image.StreamEntries.Last();
        byte[] stream = Deflate(image.Geometry.ClusterSize);
        long end = image.File.Length;
        image.Resize(end + stream.Length);
        stream.CopyTo(image.File, (int)end);
        image.Write(last, Compressed | 3UL << 60 | (ulong)end);
    });
}
