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
}
