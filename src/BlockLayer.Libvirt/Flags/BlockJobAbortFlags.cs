namespace BlockLayer.Libvirt;

/// <summary>How a job is ended (<c>virDomainBlockJobAbortFlags</c>).</summary>
[Flags]
public enum BlockJobAbortFlags
{
    /// <summary>Cancel, and return when it has ended.</summary>
    None = 0,

    /// <summary>Return at once; the event tells the end. Since 0.9.12.</summary>
    Async = 1,

    /// <summary>Switch to the copy, or to the base of an active commit, instead of going back. Since 0.9.12.</summary>
    Pivot = 2,
}
