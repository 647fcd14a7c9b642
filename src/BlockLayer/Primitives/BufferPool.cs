using System.Buffers;

namespace BlockLayer.Primitives;

/// <summary>Rents I/O buffers and counts what is out, so that a test can tell when one is lost.</summary>
internal sealed class BufferPool
{
    private long _rented;

    /// <summary>The pool of the process.</summary>
    internal static BufferPool Shared { get; } = new();

    /// <summary>Buffers rented and not yet returned.</summary>
    internal long Outstanding => Interlocked.Read(ref _rented);

    /// <summary>A buffer of exactly <paramref name="length"/> bytes with unspecified content: whoever shows it to a guest fills or clears it first.</summary>
    internal PooledBuffer Rent(int length)
    {
        byte[] array = ArrayPool<byte>.Shared.Rent(length);
        Interlocked.Increment(ref _rented);
        return new PooledBuffer(this, array, length);
    }

    internal void Return(byte[] array)
    {
        ArrayPool<byte>.Shared.Return(array);
        Interlocked.Decrement(ref _rented);
    }
}
