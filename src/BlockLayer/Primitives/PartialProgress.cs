namespace BlockLayer.Primitives;

/// <summary>Tells the progress of several runs over the disk as one; never goes back, and never past the end.</summary>
internal sealed class PartialProgress : IProgress<ByteProgress>
{
    private readonly IProgress<ByteProgress> _told;
    private readonly int _parts;
    private int _part;

    private PartialProgress(IProgress<ByteProgress> told, int parts)
    {
        _told = told;
        _parts = parts;
    }

    /// <summary>Progress in so many parts; null for nobody.</summary>
    public static PartialProgress? Of(IProgress<ByteProgress>? told, int parts) => told is null ? null : new PartialProgress(told, parts);

    /// <summary>The next part begins; the last one may be repeated, and is told once.</summary>
    public void Next() => _part++;

    /// <inheritdoc/>
    public void Report(ByteProgress value)
    {
        if (_part < _parts)
        {
            _told.Report(value with { Done = (long)((((Int128)value.Total * _part) + value.Done) / _parts) });
        }
    }
}
