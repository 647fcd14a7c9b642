namespace BlockLayer.Primitives;

/// <summary>A rented buffer. Its renter disposes it exactly once, when nothing below touches it any more.</summary>
internal readonly struct PooledBuffer : IDisposable
{
    private readonly BufferPool? _pool;
    private readonly byte[] _array;
    private readonly int _length;

    internal PooledBuffer(BufferPool pool, byte[] array, int length)
    {
        _pool = pool;
        _array = array;
        _length = length;
    }

    /// <summary>The buffer, exactly as long as it was asked for.</summary>
    internal Memory<byte> Memory => _array.AsMemory(0, _length);

    /// <summary>The same bytes.</summary>
    internal Span<byte> Span => _array.AsSpan(0, _length);

    /// <summary>Gives the buffer back.</summary>
    public void Dispose() => _pool?.Return(_array);
}
