namespace BlockLayer.Images;

/// <summary>Filters that a name can ask for, see <see cref="FilterName"/>.</summary>
public enum FilterKind
{
    /// <summary><c>blkmirror:SOURCE:[FORMAT:]DEST</c>: keep two images equal.</summary>
    Mirror,

    /// <summary><c>blkstream:IMAGE</c>: fill the image from its backing files as it is read.</summary>
    Stream,

    /// <summary><c>blkverify:REFERENCE:IMAGE</c>: compare with a raw image.</summary>
    Verify,

    /// <summary><c>throttle:LIMITS:IMAGE</c>: hold requests back.</summary>
    Throttle,

    /// <summary><c>blkdebug:RULES:IMAGE</c>: make requests fail.</summary>
    Faults,
}
