namespace BlockLayer.Images;

/// <summary>What a rebase did, or would do.</summary>
/// <param name="ComparedBytes">Bytes of the virtual disk that were read from the old and the new chain.</param>
/// <param name="DataBytes">Bytes that are stored as data in the image, in its own units.</param>
/// <param name="ZeroBytes">Bytes that are stored as zeroes in the image.</param>
public sealed record ImageRebaseResult(long ComparedBytes, long DataBytes, long ZeroBytes)
{
    /// <summary>Bytes of the virtual disk that are copied into the image.</summary>
    public long CopiedBytes => DataBytes + ZeroBytes;

    /// <summary>What went wrong behind the rebase and does not change it: an image that is not needed any more could not be closed. Null for nothing.</summary>
    public Exception? Error { get; init; }
}
