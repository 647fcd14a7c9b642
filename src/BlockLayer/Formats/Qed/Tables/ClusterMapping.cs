namespace BlockLayer.Formats.Qed;

/// <summary>The answer to a lookup: what a run of guest bytes is.</summary>
/// <param name="Kind">What the run is.</param>
/// <param name="Host">Where the run starts in the image file and is contiguous; only for data.</param>
/// <param name="Length">Bytes of the run, at least 1 and at most what was asked for.</param>
internal readonly record struct ClusterMapping(ClusterKind Kind, HostOffset Host, long Length)
{
    internal bool IsData => Kind == ClusterKind.Data;
}
