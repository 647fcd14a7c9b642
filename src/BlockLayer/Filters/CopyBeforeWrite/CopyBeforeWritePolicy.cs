namespace BlockLayer.Filters;

/// <summary>What happens when the old content of a range cannot be saved before a guest overwrites it; QEMU's <c>on-cbw-error</c>.</summary>
public enum CopyBeforeWritePolicy
{
    /// <summary>The guest's write fails, and what is saved stays whole.</summary>
    BreakGuestWrite,

    /// <summary>The guest's write goes on, and the backup fails.</summary>
    BreakSnapshot,
}
