using System.Buffers.Binary;
using System.Text;
using BlockLayer.TestKit.Formats.Qcow2;
using BlockLayer.TestKit.Hostile;

namespace BlockLayer.Tests.Images.Hostile;

/// <summary>Makes hostile images of sound ones: each step is a copy with something else in it.</summary>
internal static class Qcow2Bytes
{
    internal const uint BackingFormat = 0xe279_2aca;
    internal const uint FeatureNames = 0x6803_f857;
    internal const uint DataFileName = 0x4441_5441;
    internal const uint Unknown = 0x0bad_0bad;

    private const int HeaderLengthAt = 100;
    private const int NameAt = 900;

    /// <summary>Version 3, clusters of 1024 bytes, refcounts of one byte, one L1 entry, streams of zlib.</summary>
    internal static byte[] Sound { get; } = Qcow2Seeds.Get("version 3, 8-bit refcounts, compressed by zlib").Bytes;

    /// <summary>Version 2, clusters of 512 bytes, two L1 entries.</summary>
    internal static byte[] Version2 { get; } = Qcow2Seeds.Get("version 2, clusters of 512").Bytes;

    /// <summary>Version 3, clusters of 2048 bytes, streams of zstd.</summary>
    internal static byte[] Zstd { get; } = Qcow2Seeds.Get("64-bit refcounts, compressed by zstd").Bytes;

    /// <summary>Version 3, clusters of 1024 bytes, two snapshots.</summary>
    internal static byte[] Snapshots { get; } = Qcow2Seeds.Get("snapshots").Bytes;

    internal static byte[] With8(this byte[] image, int at, byte value) => image.With(at, [value]);

    internal static byte[] With32(this byte[] image, int at, uint value)
    {
        byte[] word = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(word, value);
        return image.With(at, word);
    }

    internal static byte[] With64(this byte[] image, int at, ulong value)
    {
        byte[] word = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(word, value);
        return image.With(at, word);
    }

    internal static byte[] With(this byte[] image, int at, ReadOnlySpan<byte> bytes)
    {
        byte[] copy = [.. image];
        bytes.CopyTo(copy.AsSpan(at));
        return copy;
    }

    /// <summary>With a backing file name at a place and of a length that is claimed, whatever is there.</summary>
    internal static byte[] WithName(this byte[] image, ulong offset, uint size) => image.With64(8, offset).With32(16, size);

    /// <summary>With exactly these header extensions, the lengths as claimed, and an end marker behind them.</summary>
    internal static byte[] WithExtensions(this byte[] image, params ReadOnlySpan<(uint Type, uint Length, byte[] Data)> extensions)
    {
        byte[] copy = [.. image];
        int at = BinaryPrimitives.ReadInt32BigEndian(copy.AsSpan(HeaderLengthAt));
        copy.AsSpan(at, ClusterSize(copy) - at).Clear();
        foreach ((uint type, uint length, byte[] data) in extensions)
        {
            BinaryPrimitives.WriteUInt32BigEndian(copy.AsSpan(at), type);
            BinaryPrimitives.WriteUInt32BigEndian(copy.AsSpan(at + 4), length);
            data.CopyTo(copy.AsSpan(at + 8));
            at += 8 + ((data.Length + 7) & ~7);
        }

        return copy;
    }

    /// <summary>An extension that says the truth about its length.</summary>
    internal static (uint Type, uint Length, byte[] Data) Extension(uint type, byte[] data) => (type, (uint)data.Length, data);

    /// <summary>An extension with text.</summary>
    internal static (uint Type, uint Length, byte[] Data) Extension(uint type, string text) => Extension(type, Encoding.UTF8.GetBytes(text));

    /// <summary>With a backing file, and its format unless that is null.</summary>
    internal static byte[] WithBacking(this byte[] image, string name, string? format) => image.WithBacking(Encoding.UTF8.GetBytes(name), format);

    /// <summary>With a backing file, and its format unless that is null.</summary>
    internal static byte[] WithBacking(this byte[] image, byte[] name, string? format)
    {
        byte[] named = format is null ? image.WithExtensions() : image.WithExtensions(Extension(BackingFormat, format));
        return named.With(NameAt, name).WithName(NameAt, (uint)name.Length);
    }

    /// <summary>With an external data file of this name, and the bit that says so.</summary>
    internal static byte[] WithDataFile(this byte[] image, string name) => image.WithExtensions(Extension(DataFileName, name)).With64(72, 1 << 2);

    /// <summary>With its tables changed.</summary>
    internal static byte[] Change(this byte[] image, Action<DamagedImage> change)
    {
        var damaged = new DamagedImage([.. image]);
        change(damaged);
        return damaged.File;
    }

    internal static int ClusterSize(byte[] image) => 1 << BinaryPrimitives.ReadInt32BigEndian(image.AsSpan(20));
}
