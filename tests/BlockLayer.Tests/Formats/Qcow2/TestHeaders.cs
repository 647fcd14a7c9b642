using System.Buffers.Binary;
using BlockLayer.Formats.Qcow2;

namespace BlockLayer.Tests.Formats.Qcow2;

/// <summary>Headers that are valid until a test breaks one thing in them.</summary>
internal static class TestHeaders
{
    /// <summary>Length of a file in which everything <see cref="Version3"/> points to lies.</summary>
    public const long FileLength = 4 * 65536 + 8;

    /// <summary>64 KiB clusters, 64 MiB disk: refcount table in cluster 1, L1 table at the end of the file.</summary>
    public static Qcow2Header Version3() => new Qcow2Header
    {
        Version = 3,
        ClusterBits = 16,
        VirtualSize = 64 << 20,
        L1Size = 1,
        L1TableOffset = new(4 * 65536),
        RefcountTableOffset = new(65536),
        RefcountTableClusters = 1,
        AdditionalFields = Qcow2Header.NewAdditionalFields(CompressionType.Zlib),
    }.WithNewExtensions(backingFormat: null);

    /// <summary>The same in version 2.</summary>
    public static Qcow2Header Version2() => Version3() with { Version = 2, AdditionalFields = default, Extensions = HeaderExtensions.None };

    /// <summary>The first cluster as a file has it.</summary>
    public static byte[] Bytes(this Qcow2Header header)
    {
        byte[] cluster = new byte[header.ClusterSize];
        header.WriteTo(cluster);
        return cluster;
    }

    /// <summary>The first cluster with one 32-bit field overwritten.</summary>
    public static byte[] BytesWith32(this Qcow2Header header, int at, uint value)
    {
        byte[] cluster = header.Bytes();
        BinaryPrimitives.WriteUInt32BigEndian(cluster.AsSpan(at), value);
        return cluster;
    }

    /// <summary>The first cluster with one 64-bit field overwritten.</summary>
    public static byte[] BytesWith64(this Qcow2Header header, int at, ulong value)
    {
        byte[] cluster = header.Bytes();
        BinaryPrimitives.WriteUInt64BigEndian(cluster.AsSpan(at), value);
        return cluster;
    }
}
