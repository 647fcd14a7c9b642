using BlockLayer.Errors;

namespace BlockLayer.Formats.Qcow2;

/// <summary>The codecs this process can offer, found once.</summary>
internal static class ClusterCodecs
{
    /// <summary>The runtime's own zlib where it exports what is needed, else the managed codec.</summary>
    public static readonly IClusterCodec Zlib = NativeZlibCodec.TryLoad() ?? (IClusterCodec)new ManagedZlibCodec();

    private static readonly IClusterCodec? s_zstd = ZstdCodec.TryLoad();

    /// <summary>The codec of an image.</summary>
    /// <exception cref="ImageFormatException">Unsupported: zstd on a machine without its library.</exception>
    public static IClusterCodec For(CompressionType type) => type switch
    {
        CompressionType.Zlib => Zlib,
        CompressionType.Zstd => s_zstd ?? throw ImageFormatException.Unsupported(
            "compression_type", Qcow2Header.Version3Length, $"compression_type is 1 (zstd) at byte {Qcow2Header.Version3Length}, and this machine has no {ZstdCodec.LibraryName}."),
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "The header was validated."),
    };

    /// <summary>The error of every codec for a stream that cannot be decompressed.</summary>
    internal static ImageFormatException Corrupt(HostOffset at, string reason, Exception? cause = null)
        => new(BlockErrorKind.Corrupt, "compressed cluster", at.Value, $"compressed cluster at byte {at.Value} {reason}.", cause);
}
