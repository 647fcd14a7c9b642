namespace BlockLayer.Storage;

/// <summary>
/// The buffers of one transfer, one or several, and how far it has come in them. A transfer that the operating system cuts short advances and goes on.
/// Empty buffers are stepped over.
/// </summary>
internal struct BufferCursor
{
    private readonly ReadOnlyMemory<byte> _single;
    private readonly IReadOnlyList<Memory<byte>>? _reads;
    private readonly IReadOnlyList<ReadOnlyMemory<byte>>? _writes;
    private readonly int _count;
    private int _index;
    private int _skip;

    internal BufferCursor(ReadOnlyMemory<byte> buffer)
    {
        _single = buffer;
        _count = 1;
        Advance(0);
    }

    internal BufferCursor(IReadOnlyList<Memory<byte>> buffers)
    {
        _reads = buffers;
        _count = buffers.Count;
        Advance(0);
    }

    internal BufferCursor(IReadOnlyList<ReadOnlyMemory<byte>> buffers)
    {
        _writes = buffers;
        _count = buffers.Count;
        Advance(0);
    }

    /// <summary>True when every byte has been transferred.</summary>
    internal readonly bool IsAtEnd => _index == _count;

    /// <summary>How many buffers are left, the one begun included.</summary>
    internal readonly int PieceCount => _count - _index;

    /// <summary>How many bytes are left.</summary>
    internal readonly long Remaining
    {
        get
        {
            long sum = 0;
            for (int i = 0; i < PieceCount; i++)
            {
                sum += this[i].Length;
            }

            return sum;
        }
    }

    /// <summary>The rest of the buffer that is <paramref name="piece"/> buffers ahead. A read may write to it.</summary>
    internal readonly ReadOnlyMemory<byte> this[int piece] => piece == 0 ? At(_index)[_skip..] : At(_index + piece);

    /// <summary>Steps over bytes that have been transferred.</summary>
    internal void Advance(long bytes)
    {
        while (_index < _count && bytes >= At(_index).Length - _skip)
        {
            bytes -= At(_index).Length - _skip;
            _index++;
            _skip = 0;
        }

        _skip += (int)bytes;
    }

    private readonly ReadOnlyMemory<byte> At(int index) => _reads is not null ? _reads[index] : _writes is not null ? _writes[index] : _single;
}
