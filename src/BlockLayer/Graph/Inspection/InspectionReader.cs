using BlockLayer.Storage;

namespace BlockLayer.Graph;

/// <summary>
/// One file as an inspection sees it: reads are counted and end at a budget, whatever a header claims. What is asked for again inside the head is not read again.
/// </summary>
internal sealed class InspectionReader
{
    private readonly BlockStorage _file;
    private readonly long _budget;
    private ReadOnlyMemory<byte> _head;

    private InspectionReader(BlockStorage file, long budget)
    {
        _file = file;
        _budget = budget;
        Length = file.Length;
    }

    /// <summary>Bytes in the file.</summary>
    internal long Length { get; }

    /// <summary>Bytes read so far.</summary>
    internal long BytesRead { get; private set; }

    /// <summary>The start of the file.</summary>
    internal ReadOnlyMemory<byte> Head => _head;

    /// <summary>A reader that has read the head.</summary>
    /// <param name="file">Stays the caller's.</param>
    /// <param name="headLength">Bytes of <see cref="Head"/>, in a file that has them.</param>
    /// <param name="budget">The most bytes to read in all.</param>
    /// <param name="cancellationToken">Honoured before the read.</param>
    internal static async ValueTask<InspectionReader> StartAsync(BlockStorage file, int headLength, long budget, CancellationToken cancellationToken)
    {
        var reader = new InspectionReader(file, budget);
        reader._head = await reader.ReadAsync(0, headLength, cancellationToken).ConfigureAwait(false);
        return reader;
    }

    /// <summary>Reads a range, as much of it as the file has and the budget allows: the answer may be shorter, or empty.</summary>
    /// <exception cref="Errors.BlockLayerException">Io.</exception>
    internal async ValueTask<ReadOnlyMemory<byte>> ReadAsync(long offset, long length, CancellationToken cancellationToken)
    {
        if (offset < 0 || offset >= Length)
        {
            return ReadOnlyMemory<byte>.Empty;
        }

        length = Math.Min(length, Length - offset);
        if (length <= _head.Length - offset)
        {
            return _head.Slice((int)offset, (int)length);
        }

        byte[] bytes = new byte[Math.Min(length, _budget - BytesRead)];
        await _file.ReadAsync(offset, bytes, cancellationToken).ConfigureAwait(false);
        BytesRead += bytes.Length;
        return bytes;
    }
}
