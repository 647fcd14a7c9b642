using System.Runtime.InteropServices;

namespace BlockLayer.Formats.Qcow2;

/// <summary>Zstandard by the system's libzstd, where there is one.</summary>
internal sealed unsafe class ZstdCodec : IClusterCodec
{
    /// <summary>The library as people know it.</summary>
    public const string LibraryName = "libzstd";

    private static readonly string[] s_fileNames = ["libzstd.so.1", "libzstd.1.dylib", "libzstd"];

    // zstd.h
    private const int WindowLogMaxParameter = 100;
    private const int DefaultLevel = 3;

    /// <summary>
    /// log2 bytes. RFC 8878 asks decoders for windows of at least 8 MiB; a frame may claim gigabytes, which would be allocated before a byte is read. No
    /// cluster has use for more than 2 MiB.
    /// </summary>
    private const int MaxWindowLog = 23;

    private readonly delegate* unmanaged<nint> _createCompressor;
    private readonly delegate* unmanaged<nint, byte*, nuint, byte*, nuint, int, nuint> _compress;
    private readonly delegate* unmanaged<nint, nuint> _freeCompressor;
    private readonly delegate* unmanaged<nint> _createDecompressor;
    private readonly delegate* unmanaged<nint, int, int, nuint> _setParameter;
    private readonly delegate* unmanaged<nint, ZBuffer*, ZBuffer*, nuint> _decompress;
    private readonly delegate* unmanaged<nint, nuint> _freeDecompressor;
    private readonly delegate* unmanaged<nuint, uint> _isError;

    private ZstdCodec(nint library)
    {
        _createCompressor = (delegate* unmanaged<nint>)NativeLibrary.GetExport(library, "ZSTD_createCCtx");
        _compress = (delegate* unmanaged<nint, byte*, nuint, byte*, nuint, int, nuint>)NativeLibrary.GetExport(library, "ZSTD_compressCCtx");
        _freeCompressor = (delegate* unmanaged<nint, nuint>)NativeLibrary.GetExport(library, "ZSTD_freeCCtx");
        _createDecompressor = (delegate* unmanaged<nint>)NativeLibrary.GetExport(library, "ZSTD_createDCtx");
        _setParameter = (delegate* unmanaged<nint, int, int, nuint>)NativeLibrary.GetExport(library, "ZSTD_DCtx_setParameter");
        _decompress = (delegate* unmanaged<nint, ZBuffer*, ZBuffer*, nuint>)NativeLibrary.GetExport(library, "ZSTD_decompressStream");
        _freeDecompressor = (delegate* unmanaged<nint, nuint>)NativeLibrary.GetExport(library, "ZSTD_freeDCtx");
        _isError = (delegate* unmanaged<nuint, uint>)NativeLibrary.GetExport(library, "ZSTD_isError");
    }

    /// <inheritdoc/>
    public CompressionType Type => CompressionType.Zstd;

    /// <summary>The codec, or null where there is no library, or one older than version 1.4 (2019), which lacks an export.</summary>
    public static ZstdCodec? TryLoad()
    {
        foreach (string name in s_fileNames)
        {
            if (NativeLibrary.TryLoad(name, out nint library) && NativeLibrary.TryGetExport(library, "ZSTD_DCtx_setParameter", out _))
            {
                return new ZstdCodec(library);
            }
        }

        return null;
    }

    /// <inheritdoc/>
    public bool TryCompress(ReadOnlySpan<byte> cluster, Span<byte> destination, out int length)
    {
        nint context = ThrowIfNull(_createCompressor());
        try
        {
            fixed (byte* source = cluster)
            fixed (byte* target = destination)
            {
                nuint result = _compress(context, target, (nuint)destination.Length, source, (nuint)cluster.Length, DefaultLevel);
                bool fits = _isError(result) == 0;
                length = fits ? (int)result : 0;
                return fits;
            }
        }
        finally
        {
            _ = _freeCompressor(context);
        }
    }

    /// <inheritdoc/>
    public void Decompress(ReadOnlySpan<byte> stream, Span<byte> cluster, HostOffset at)
    {
        nint context = ThrowIfNull(_createDecompressor());
        try
        {
            _ = _setParameter(context, WindowLogMaxParameter, MaxWindowLog);
            fixed (byte* source = stream)
            fixed (byte* target = cluster)
            {
                ZBuffer input = new() { Start = source, Size = (nuint)stream.Length };
                ZBuffer output = new() { Start = target, Size = (nuint)cluster.Length };

                // The one-shot call would take the padding behind the stream for another frame.
                while (output.Position < output.Size)
                {
                    (nuint read, nuint written) = (input.Position, output.Position);
                    if (_isError(_decompress(context, &output, &input)) != 0)
                    {
                        throw ClusterCodecs.Corrupt(at, "is not a zstd stream with a window of at most 8 MiB");
                    }

                    if (input.Position == read && output.Position == written)
                    {
                        throw ClusterCodecs.Corrupt(at, $"ends {output.Size - output.Position} bytes before the cluster is full");
                    }
                }
            }
        }
        finally
        {
            _ = _freeDecompressor(context);
        }
    }

    private static nint ThrowIfNull(nint context) => context != 0 ? context : throw new InsufficientMemoryException("zstd could not make a context.");

    /// <summary>ZSTD_inBuffer and ZSTD_outBuffer.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct ZBuffer
    {
        public byte* Start;
        public nuint Size;
        public nuint Position;
    }
}
