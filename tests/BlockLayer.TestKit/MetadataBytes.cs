using BlockLayer.Formats.Qcow2;

namespace BlockLayer.TestKit;

/// <summary>An image file in memory, as readers of its tables see it.</summary>
internal sealed class MetadataBytes(byte[] file) : IMetadataReader
{
    /// <inheritdoc/>
    public long Length => file.Length;

    /// <summary>Bytes that were asked for so far.</summary>
    public long BytesRead { get; private set; }

    /// <inheritdoc/>
    public ValueTask ReadPaddedAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        BytesRead += buffer.Length;
        buffer.Span.Clear();
        if (offset < file.Length)
        {
            file.AsSpan((int)offset, (int)Math.Min(buffer.Length, file.Length - offset)).CopyTo(buffer.Span);
        }

        return ValueTask.CompletedTask;
    }
}
