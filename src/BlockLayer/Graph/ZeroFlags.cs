namespace BlockLayer.Graph;

/// <summary>How zeroes are written.</summary>
[Flags]
public enum ZeroFlags
{
    /// <summary>Plainly: the range reads as zeroes and stays allocated where the format can say so.</summary>
    None = 0,

    /// <summary>The room under the zeroes may be given back.</summary>
    MayUnmap = 1,

    /// <summary>
    /// Fail with Unsupported rather than write zeroes as data; what comes before the place that needs data may have been zeroed. A file takes the best its
    /// file system offers and does not tell, so over files this speaks for formats and alignment only.
    /// </summary>
    NoFallback = 2,

    /// <summary>Complete only when the zeroes are durable.</summary>
    Fua = 4,
}
