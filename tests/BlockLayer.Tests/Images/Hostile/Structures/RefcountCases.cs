using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.TestKit.Formats.Qcow2;
using BlockLayer.TestKit.Hostile;

namespace BlockLayer.Tests.Images.Hostile.Structures;

/// <summary>
/// Refcounts that lead astray or say what is not so. Readers need none of them, so only a table that cannot be located keeps an image closed; a writer is refused when
/// what is counted as free may be in use. qcow2 spec, "Host cluster management".
/// </summary>
internal static class RefcountCases
{
    private const string Bytes = "version 3, 8-bit refcounts, compressed by zlib";
    private const string Bits = "1-bit refcounts, a backing file";
    private const string Words = "64-bit refcounts, compressed by zstd";
    private const OpenVerdict ReadOnly = OpenVerdict.OpenReadOnly;
    private const OpenVerdict Warning = OpenVerdict.OpenWithWarning;

    internal static IEnumerable<StructureCase> All =>
    [
        Reject("2.14 table of no clusters", BlockErrorKind.InvalidFormat, static image => image.Write32(Qcow2Case.RefcountTableClustersAt, 0)),
        Reject("2.14 table over 8 MiB", BlockErrorKind.InvalidFormat, static image => image.Write32(Qcow2Case.RefcountTableClustersAt, 8193)),
        Reject("2.14 table of 2^32-1 clusters", BlockErrorKind.InvalidFormat, static image => image.Write32(Qcow2Case.RefcountTableClustersAt, uint.MaxValue)),
        Reject("2.14 table unaligned", BlockErrorKind.InvalidFormat, static image => image.Flip(Qcow2Case.RefcountTableOffsetAt, 512)),
        Reject("2.14 table past the end", BlockErrorKind.Corrupt, static image => image.Write(Qcow2Case.RefcountTableOffsetAt, 1 << 30)),
        Reject("2.14 table of 8 MiB that ends past the end", BlockErrorKind.Corrupt, static image => image.Write32(Qcow2Case.RefcountTableClustersAt, 8192)),

        Block("2.14 block unaligned", ReadOnly, static image => image.Flip(image.RefcountTable, 512)),

        // The spec says they are 0, and where the block is they do not change: a check tells, and everybody goes on, as QEMU does.
        Block("2.14 block with reserved bits", Warning, static image => image.Flip(image.RefcountTable, 1)),
        Block("2.14 block past the end", ReadOnly, static image => image.Write(image.RefcountTable, 1 << 30)),
        Block("2.14 block at 2^63", ReadOnly, static image => image.Write(image.RefcountTable, 1UL << 63)),
        Block("2.14 block inside the table that leads to it", ReadOnly, static image => image.Write(image.RefcountTable, (ulong)image.RefcountTable)),
        Block("2.14 block inside the L1 table", ReadOnly, static image => image.Write(image.RefcountTable, (ulong)image.L1)),
        Block("2.14 block that counts itself as free", ReadOnly, static image => Count(image, image.RefcountBlock, 0)),
        Block("2.14 block shared by two entries", ReadOnly, static image => image.Write(image.RefcountTable + 8, image.Read(image.RefcountTable))),

        // Its cluster counts as free, which a check tells. Whoever is about to hand it out finds that it is a block; until then nothing is in danger.
        Block("2.14 block that no block covers", Warning, MoveBlockBehindAll),
        Block("2.14 block dropped", ReadOnly, static image => image.Write(image.RefcountTable, 0)),

        Block("2.14 count 0 of the header", ReadOnly, static image => Count(image, 0, 0)),
        Block("2.14 count 0 of the L1 table", ReadOnly, static image => Count(image, image.L1, 0)),
        Block("2.14 count 0 of an L2 table", ReadOnly, static image => Count(image, image.L2, 0)),
        Block("2.14 count 0 of the refcount table", ReadOnly, static image => Count(image, image.RefcountTable, 0)),

        // Only a check can know before a request meets it, which is then refused: Qcow2DamageTests. QEMU writes even that.
        Block("2.14 count 0 of data", Warning, static image => Count(image, image.Data, 0)),
        Block("2.14 count 0 of everything", ReadOnly, static image => image.File.AsSpan((int)image.RefcountBlock, image.Geometry.ClusterSize).Clear()),
        Block("2.14 every count as large as can be", Warning, static image => image.File.AsSpan((int)image.RefcountBlock, image.Geometry.ClusterSize).Fill(0xff)),
        Qcow2Case.Of("2.14 two users of a cluster, counted in one bit", Bits, Warning, null, static image => image.Write(image.DataEntry(), image.Read(image.DataEntry(1)))),
        Qcow2Case.Of("2.14 count 2^64-1", Words, Warning, null, static image => Count(image, image.Data, ulong.MaxValue)),
        Qcow2Case.Of("2.14 count 2^63", Words, Warning, null, static image => Count(image, image.Data, 1UL << 63)),

        Qcow2Case.Of("2.15 every covered cluster is taken", MakeCounted(), Warning, null, static image => TakeAll(image, blocks: 1)),
        Qcow2Case.Of("2.15 every covered cluster is taken, and the table full", MakeCounted(), Warning, null, static image => TakeAll(image, blocks: 64)),
    ];

    private static StructureCase Reject(string name, BlockErrorKind kind, Action<DamagedImage> spoil) => Qcow2Case.Of(name, Bytes, OpenVerdict.Reject, kind, spoil);

    private static StructureCase Block(string name, OpenVerdict expected, Action<DamagedImage> spoil)
        => Qcow2Case.Of(name, Bytes, expected, expected == ReadOnly ? BlockErrorKind.Corrupt : null, spoil);

    private static void Count(DamagedImage image, long offset, ulong value)
    {
        RefcountBlock block = new(image.File.AsSpan((int)image.RefcountBlock, image.Geometry.ClusterSize), image.Geometry.RefcountOrder);
        block[new HostOffset(offset).Cluster(image.Geometry).RefcountBlockIndex(image.Geometry)] = value;
    }

    // A block of 8-bit counts covers as many clusters as it has bytes.
    private static void MoveBlockBehindAll(DamagedImage image)
    {
        long covered = (long)image.Geometry.ClusterSize * image.Geometry.ClusterSize;
        byte[] block = image.File.AsSpan((int)image.RefcountBlock, image.Geometry.ClusterSize).ToArray();
        image.Resize(covered + image.Geometry.ClusterSize);
        block.CopyTo(image.File.AsSpan((int)covered));
        image.Write(image.RefcountTable, (ulong)covered);
    }

    /// <summary>Clusters of 512 bytes with counts of 64 bits: a block covers 32 KiB, and a table of one cluster has 64 of them.</summary>
    private static byte[] MakeCounted()
        => SeedWorld.Make(Qcow2Format.Instance, new Qcow2CreateOptions { Length = 100_000, ClusterSize = 512, RefcountBits = 64 }, static _ => Task.CompletedTask, out byte[] _);

    // Whatever is allocated lies in an area that has no block yet, which needs a cluster itself; with all the blocks that a table can have, so does the table.
    private static void TakeAll(DamagedImage image, int blocks)
    {
        int counts = image.Geometry.ClusterSize / 8;
        long covered = (long)counts * image.Geometry.ClusterSize;
        image.Resize(Math.Max(image.File.Length, blocks * covered));
        for (int i = 0; i < blocks; i++)
        {
            long block = i == 0 ? image.RefcountBlock : i * covered;
            image.Write(image.RefcountTable + (8 * i), (ulong)block);
            for (int j = 0; j < counts; j++)
            {
                image.Write(block + (8 * j), 1);
            }
        }
    }
}
