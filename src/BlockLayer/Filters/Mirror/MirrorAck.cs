namespace BlockLayer.Filters;

/// <summary>When a write to a mirror is complete.</summary>
public enum MirrorAck
{
    /// <summary>When both sides have taken it.</summary>
    Both,

    /// <summary>
    /// When the source has; the destination follows. Drain and close wait for it; what it fails with is told by the next flush. While more than 16 MiB follow,
    /// writes wait for both sides.
    /// </summary>
    Source,
}
