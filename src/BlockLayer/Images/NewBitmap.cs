namespace BlockLayer.Images;

/// <summary>What a new bitmap is like.</summary>
public sealed record NewBitmap
{
    /// <summary>Bytes a bit stands for, a power of two from 512 to 2^31; null for <see cref="ImageBitmaps.DefaultGranularity"/>.</summary>
    public long? Granularity { get; init; }

    /// <summary>Whether writes are marked in it from the beginning.</summary>
    public BitmapState State { get; init; } = BitmapState.Enabled;
}
