namespace BlockLayer.Libvirt;

/// <summary>What became of a job (<c>virConnectDomainEventBlockJobStatus</c>).</summary>
public enum BlockJobStatus
{
    /// <summary>It did what it was started for.</summary>
    Completed = 0,

    /// <summary>It failed.</summary>
    Failed = 1,

    /// <summary>It was cancelled.</summary>
    Canceled = 2,

    /// <summary>It has reached its second phase and waits for a pivot or an abort.</summary>
    Ready = 3,
}
