using System.Buffers.Binary;
using System.Security.Cryptography;
using BlockLayer.Formats.Qcow2;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Compression;

public sealed class GoldenCompressionTests
{
    /// <summary>The least a reader has to do, with nothing but the structures: tables, entries, descriptors, codecs.</summary>
    [Theory]
    [InlineData("q7-zlib.qcow2")]
    [InlineData("q7-zlib2k.qcow2")]
    [InlineData("q7-zstd.qcow2")]
    [InlineData("q7-zlibmix.qcow2")]
    [InlineData("q11-zlib.qcow2")]
    [InlineData("q11-zstd.qcow2")]
    [InlineData("q7-c512.qcow2")]
    [InlineData("q7-v2.qcow2")]
    [InlineData("q7-zero.qcow2")]
    public void Guest_content_is_what_QEMU_wrote(string name)
    {
        GoldenImage image = GoldenImages.Get(name);
        byte[] file = File.ReadAllBytes(image.Path);
        Qcow2Header header = Qcow2Header.Parse(file);
        Assert.SkipWhen(header.Compression == CompressionType.Zstd && ZstdCodec.TryLoad() is null, "this machine has no libzstd");
        ClusterGeometry g = header.CreateGeometry();
        byte[] disk = new byte[g.ClustersFor(header.VirtualSize) * g.ClusterSize];
        for (GuestCluster cluster = new(0); cluster.Index < disk.Length / g.ClusterSize; cluster = cluster.Plus(1))
        {
            L1Entry l1 = new(Word(file, header.L1TableOffset.Value, cluster.L1Index(g)));
            L2Entry l2 = l1.IsAllocated ? new(Word(file, l1.L2Table.Value, cluster.L2Index(g))) : L2Entry.Unallocated;
            Assert.Equal(EntryFault.None, l2.Validate(g, header.Version, file.Length));
            Span<byte> target = disk.AsSpan((int)cluster.Offset(g).Value, g.ClusterSize);
            if (l2.Kind == ClusterKind.Data)
            {
                file.AsSpan((int)l2.HostOffset.Value, g.ClusterSize).CopyTo(target);
            }
            else if (l2.Kind == ClusterKind.Compressed)
            {
                CompressedDescriptor stream = l2.Compressed(g);
                int end = (int)Math.Min(stream.End.Value, file.Length);
                ClusterCodecs.For(header.Compression).Decompress(file.AsSpan((int)stream.Offset.Value..end), target, stream.Offset);
            }
        }

        Assert.Equal(image.GuestSha256, Convert.ToHexStringLower(SHA256.HashData(disk.AsSpan(0, (int)header.VirtualSize))));
    }

    private static ulong Word(byte[] file, long table, long index) => BinaryPrimitives.ReadUInt64BigEndian(file.AsSpan((int)(table + index * sizeof(ulong))));
}
