namespace BlockLayer.Images;

/// <summary>What a commit did, or would do.</summary>
/// <param name="DataBytes">Bytes copied as data.</param>
/// <param name="ZeroBytes">Bytes written as zeroes.</param>
/// <param name="GrownBytes">Bytes by which the base grows, because the image is longer.</param>
/// <param name="EmptiesImage">The image is emptied in the end.</param>
public sealed record ImageCommitResult(long DataBytes, long ZeroBytes, long GrownBytes, bool EmptiesImage)
{
    /// <summary>Bytes of the virtual disk that go into the base.</summary>
    public long CopiedBytes => DataBytes + ZeroBytes;
}
