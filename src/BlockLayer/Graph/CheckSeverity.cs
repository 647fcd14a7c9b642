namespace BlockLayer.Graph;

/// <summary>How bad a finding of a check is.</summary>
public enum CheckSeverity
{
    /// <summary>Room that nothing uses: a waste, no danger.</summary>
    Leak,

    /// <summary>Metadata that contradicts itself: data may be lost already, or with the next write.</summary>
    Corruption,

    /// <summary>Something could not be looked at, so nothing is known of it.</summary>
    NotChecked,
}
