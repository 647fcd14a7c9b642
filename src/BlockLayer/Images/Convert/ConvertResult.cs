namespace BlockLayer.Images;

/// <summary>What a copy did.</summary>
/// <param name="ReadBytes">Bytes read from the source.</param>
/// <param name="WrittenBytes">Bytes stored as data in the target.</param>
public sealed record ConvertResult(long ReadBytes, long WrittenBytes)
{
    /// <summary>Names of bitmaps of the source that cannot be used and were left out; see <see cref="ConvertBitmaps.Usable"/>.</summary>
    public IReadOnlyList<string> SkippedBitmaps { get; init; } = [];
}
