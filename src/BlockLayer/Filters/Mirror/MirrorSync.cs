namespace BlockLayer.Filters;

/// <summary>What opening a mirror does about regions in which its sides may differ. Without a log that belongs to the two sides these are all.</summary>
public enum MirrorSync
{
    /// <summary>They are copied from the source before the mirror opens.</summary>
    Copy,

    /// <summary>They are left for <see cref="MirrorNode.RepairAsync"/>, and read from the source until then.</summary>
    Later,

    /// <summary>As <see cref="Copy"/> for what a log of these two sides names; without one the caller knows that the sides are equal.</summary>
    AssumeEqual,
}
