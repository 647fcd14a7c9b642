namespace BlockLayer.Graph;

/// <summary>How zeroes are written.</summary>
[Flags]
public enum ZeroFlags
{
    /// <summary>Plainly: the range reads as zeroes and stays allocated where the format can say so.</summary>
    None = 0,

    /// <summary>The room under the zeroes may be given back.</summary>
    MayUnmap = 1,

    /// <summary>Fail with Unsupported rather than write zeroes as data.</summary>
    NoFallback = 2,

    /// <summary>Complete only when the zeroes are durable.</summary>
    Fua = 4,
}
