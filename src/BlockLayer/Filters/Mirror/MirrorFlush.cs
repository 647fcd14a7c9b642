namespace BlockLayer.Filters;

/// <summary>What a flush of a mirror makes durable.</summary>
public enum MirrorFlush
{
    /// <summary>Both sides.</summary>
    Both,

    /// <summary>The source; what the destination loses in a crash is copied again by the repair, which needs a log.</summary>
    Source,
}
