using System.Buffers.Binary;
using BlockLayer.Formats.Qcow2;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Qcow2;

/// <summary>QEMU reads the streams of every codec, packed as tightly as the format allows, in an image made by hand from nothing but the structures.</summary>
public sealed class CompressedStreamInteropTests
{
    private const int ClusterBits = 14;
    private const int GuestClusters = 40;
    private const int RefcountTableCluster = 1;
    private const int RefcountBlockCluster = 2;
    private const int L1Cluster = 3;
    private const int L2Cluster = 4;
    private const int FirstStreamCluster = 5;

    private static readonly ClusterGeometry s_geometry = new(ClusterBits, refcountOrder: 4, L2EntryFormat.Standard);

    public static TheoryData<string> Codecs => ["native zlib", "managed zlib", "zstd"];

    [Theory]
    [MemberData(nameof(Codecs))]
    public void Streams_are_read_by_QEMU(string name)
    {
        QemuTool qemuImg = QemuTool.Require("qemu-img");
        IClusterCodec? codec = name switch
        {
            "native zlib" => NativeZlibCodec.TryLoad(),
            "managed zlib" => new ManagedZlibCodec(),
            _ => ZstdCodec.TryLoad(),
        };
        Assert.SkipWhen(codec is null, $"this machine has no {name}");
        byte[] disk = Content();
        using TemporaryFolder folder = new();
        string image = Path.Combine(folder.Path, "image.qcow2");
        string raw = Path.Combine(folder.Path, "image.raw");
        File.WriteAllBytes(image, Image(codec!, disk));
        qemuImg.RunOk("check", "-f", "qcow2", image);
        qemuImg.RunOk("convert", "-f", "qcow2", "-O", "raw", image, raw);
        Assert.Equal(disk, File.ReadAllBytes(raw));
    }

    /// <summary>Clusters of several kinds of compressible content, each different.</summary>
    private static byte[] Content()
    {
        byte[] disk = new byte[GuestClusters << ClusterBits];
        Random random = new(23);
        for (int at = 0; at < disk.Length; at++)
        {
            int cluster = at >> ClusterBits;
            disk[at] = (cluster % 4) switch
            {
                0 => (byte)cluster,
                1 => (byte)random.Next(16),
                2 => at % 4000 < 2000 ? (byte)random.Next(256) : disk[at - 2000],
                _ => (byte)("refcount block "[at % 15] + (random.Next(50) == 0 ? 1 : 0)),
            };
        }

        return disk;
    }

    private static byte[] Image(IClusterCodec codec, byte[] disk)
    {
        byte[] file = new byte[(FirstStreamCluster + GuestClusters) << ClusterBits];
        RefcountBlock refcounts = new(file.AsSpan(RefcountBlockCluster << ClusterBits, s_geometry.ClusterSize), s_geometry.RefcountOrder);
        for (int cluster = 0; cluster < FirstStreamCluster; cluster++)
        {
            refcounts[cluster] = 1;
        }

        HostOffset next = new HostCluster(FirstStreamCluster).Offset(s_geometry);
        for (int guest = 0; guest < GuestClusters; guest++)
        {
            byte[] stream = new byte[s_geometry.ClusterSize - 1];
            Assert.True(codec.TryCompress(disk.AsSpan(guest << ClusterBits, s_geometry.ClusterSize), stream, out int length));
            stream.AsSpan(0, length).CopyTo(file.AsSpan((int)next.Value));
            var descriptor = CompressedDescriptor.ForStream(next, length, s_geometry);
            Put(file, (L2Cluster << ClusterBits) + guest * L2Entry.Size, L2Entry.ForCompressed(descriptor, s_geometry).Raw);
            for (long touched = descriptor.FirstCluster(s_geometry).Index; touched <= descriptor.LastCluster(s_geometry).Index; touched++)
            {
                refcounts[(int)touched]++;
            }

            next = next.Plus(length);
        }

        Put(file, RefcountTableCluster << ClusterBits, RefcountTableEntry.ForBlock(new HostCluster(RefcountBlockCluster).Offset(s_geometry)).Raw);
        Put(file, L1Cluster << ClusterBits, L1Entry.ForTable(new HostCluster(L2Cluster).Offset(s_geometry)).Raw);
        Header(codec.Type).WriteTo(file);
        return file[..(int)(s_geometry.ClustersFor(next.Value) << ClusterBits)];
    }

    private static Qcow2Header Header(CompressionType compression) => new Qcow2Header
    {
        Version = 3,
        ClusterBits = ClusterBits,
        VirtualSize = GuestClusters << ClusterBits,
        L1Size = 1,
        L1TableOffset = new HostCluster(L1Cluster).Offset(s_geometry),
        RefcountTableOffset = new HostCluster(RefcountTableCluster).Offset(s_geometry),
        RefcountTableClusters = 1,
        Incompatible = compression == CompressionType.Zlib ? IncompatibleFeatures.None : IncompatibleFeatures.CompressionType,
        AdditionalFields = Qcow2Header.NewAdditionalFields(compression),
    }.WithNewExtensions(backingFormat: null);

    private static void Put(byte[] file, int at, ulong word) => BinaryPrimitives.WriteUInt64BigEndian(file.AsSpan(at), word);
}
