using System.IO.Compression;
using System.Runtime.InteropServices;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Raw deflate by the zlib that the runtime carries for <see cref="DeflateStream"/>. The public stream always writes 32 KiB windows, which readers of qcow2
/// refuse; the runtime's native exports take the window size. They are private to the runtime, so their presence is checked once, and
/// <see cref="ManagedZlibCodec"/> stands in where they are missing.
/// </summary>
internal sealed unsafe class NativeZlibCodec : IClusterCodec
{
    private const string Library = "libSystem.IO.Compression.Native";

    // zlib.h
    private const int Finish = 4;
    private const int StreamEnd = 1;
    private const int DataError = -3;
    private const int DefaultLevel = -1;
    private const int Deflated = 8;
    private const int MaxMemoryLevel = 9;
    private const int DefaultStrategy = 0;

    // Negative: raw deflate without zlib header. QEMU inflates with a window of 2^12 bytes, so that is what is written; what is read may have any.
    private const int WriteWindowBits = -12;
    private const int ReadWindowBits = -15;

    private readonly delegate* unmanaged<ZStream*, int, int, int, int, int, int> _deflateInit;
    private readonly delegate* unmanaged<ZStream*, int, int> _deflate;
    private readonly delegate* unmanaged<ZStream*, int> _deflateEnd;
    private readonly delegate* unmanaged<ZStream*, int, int> _inflateInit;
    private readonly delegate* unmanaged<ZStream*, int, int> _inflate;
    private readonly delegate* unmanaged<ZStream*, int> _inflateEnd;

    private NativeZlibCodec(nint deflateInit, nint deflate, nint deflateEnd, nint inflateInit, nint inflate, nint inflateEnd)
    {
        _deflateInit = (delegate* unmanaged<ZStream*, int, int, int, int, int, int>)deflateInit;
        _deflate = (delegate* unmanaged<ZStream*, int, int>)deflate;
        _deflateEnd = (delegate* unmanaged<ZStream*, int>)deflateEnd;
        _inflateInit = (delegate* unmanaged<ZStream*, int, int>)inflateInit;
        _inflate = (delegate* unmanaged<ZStream*, int, int>)inflate;
        _inflateEnd = (delegate* unmanaged<ZStream*, int>)inflateEnd;
    }

    /// <inheritdoc/>
    public CompressionType Type => CompressionType.Zlib;

    /// <summary>The codec, or null where the runtime does not export what it needs.</summary>
    public static NativeZlibCodec? TryLoad()
        => NativeLibrary.TryLoad(Library, typeof(DeflateStream).Assembly, null, out nint library)
            && NativeLibrary.TryGetExport(library, "CompressionNative_DeflateInit2_", out nint deflateInit)
            && NativeLibrary.TryGetExport(library, "CompressionNative_Deflate", out nint deflate)
            && NativeLibrary.TryGetExport(library, "CompressionNative_DeflateEnd", out nint deflateEnd)
            && NativeLibrary.TryGetExport(library, "CompressionNative_InflateInit2_", out nint inflateInit)
            && NativeLibrary.TryGetExport(library, "CompressionNative_Inflate", out nint inflate)
            && NativeLibrary.TryGetExport(library, "CompressionNative_InflateEnd", out nint inflateEnd)
                ? new NativeZlibCodec(deflateInit, deflate, deflateEnd, inflateInit, inflate, inflateEnd)
                : null;

    /// <inheritdoc/>
    public bool TryCompress(ReadOnlySpan<byte> cluster, Span<byte> destination, out int length)
    {
        fixed (byte* source = cluster)
        fixed (byte* target = destination)
        {
            ZStream stream = new() { NextIn = source, AvailIn = (uint)cluster.Length, NextOut = target, AvailOut = (uint)destination.Length };
            ThrowIfFailed(_deflateInit(&stream, DefaultLevel, Deflated, WriteWindowBits, MaxMemoryLevel, DefaultStrategy));
            int result = _deflate(&stream, Finish);
            length = destination.Length - (int)stream.AvailOut;

            // Ending a stream in the middle, because it does not fit, is told as an error that says nothing new.
            _ = _deflateEnd(&stream);
            return result == StreamEnd;
        }
    }

    /// <inheritdoc/>
    public void Decompress(ReadOnlySpan<byte> stream, Span<byte> cluster, HostOffset at)
    {
        int result;
        uint missing;
        fixed (byte* source = stream)
        fixed (byte* target = cluster)
        {
            ZStream state = new() { NextIn = source, AvailIn = (uint)stream.Length, NextOut = target, AvailOut = (uint)cluster.Length };
            ThrowIfFailed(_inflateInit(&state, ReadWindowBits));
            result = _inflate(&state, Finish);
            missing = state.AvailOut;
            _ = _inflateEnd(&state);
        }

        if (result == DataError)
        {
            throw ClusterCodecs.Corrupt(at, "is not a deflate stream");
        }

        if (missing != 0)
        {
            throw ClusterCodecs.Corrupt(at, $"ends {missing} bytes before the cluster is full");
        }
    }

    /// <summary>Starting a stream fails for want of memory alone: its parameters are constants.</summary>
    private static void ThrowIfFailed(int result)
    {
        if (result != 0)
        {
            throw new InsufficientMemoryException($"zlib could not start a stream: {result}.");
        }
    }

    /// <summary>PAL_ZStream of the runtime's System.IO.Compression.Native.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct ZStream
    {
        public byte* NextIn;
        public byte* NextOut;
        public byte* Message;
        public void* Internal;
        public uint AvailIn;
        public uint AvailOut;
    }
}
