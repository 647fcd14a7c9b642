namespace BlockLayer.Libvirt;

/// <summary>The job that occupies a disk, as far as all generations of the API ask for it.</summary>
internal interface IDiskJob
{
    /// <summary>What it does.</summary>
    BlockJobType Type { get; }

    /// <summary>How it stands now.</summary>
    JobReading Read();

    /// <summary>Changes its speed at once.</summary>
    /// <param name="bytesPerSecond">0 for no limit.</param>
    void SetSpeed(long bytesPerSecond);

    /// <summary>Makes it end, and returns at once. Whoever asks for it has the disk's turn.</summary>
    /// <exception cref="LibvirtException">OperationInvalid: it is being ended already, or cannot pivot any more.</exception>
    void End(JobEnding how);

    /// <summary>Waits until it is over: the disk is free, and the end was told.</summary>
    /// <returns>What was told.</returns>
    ValueTask<BlockJobEvent> WaitForEndAsync(CancellationToken cancellationToken);
}
