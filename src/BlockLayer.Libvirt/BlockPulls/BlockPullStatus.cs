namespace BlockLayer.Libvirt;

/// <summary>What became of a pull, as the second generation tells it. There is no word for a pull that was aborted: its end is told by nobody.</summary>
public enum BlockPullStatus
{
    /// <summary>The disk needs its backing files no longer.</summary>
    Completed = 0,

    /// <summary>It does; the pull can be started again, and goes on where it was.</summary>
    Failed = 1,
}
