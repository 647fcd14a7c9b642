namespace BlockLayer.Jobs;

/// <summary>Whether an error has stopped a job since it was last resumed.</summary>
public enum JobIoStatus
{
    /// <summary>None has.</summary>
    Ok,

    /// <summary>A read or a write failed.</summary>
    Failed,

    /// <summary>There was no room left.</summary>
    NoSpace,
}
