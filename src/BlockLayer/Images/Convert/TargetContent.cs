namespace BlockLayer.Images;

/// <summary>What the target of a copy holds before.</summary>
public enum TargetContent
{
    /// <summary>Nothing but zeroes, so zeroes need not be written: a new image without a backing file.</summary>
    Zeroes,

    /// <summary>Anything: zeroes are written.</summary>
    Anything,
}
