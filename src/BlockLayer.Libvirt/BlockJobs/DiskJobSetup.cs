namespace BlockLayer.Libvirt;

/// <summary>What a new job is, besides the work that it does.</summary>
/// <param name="Domain">Whose disk.</param>
/// <param name="Disk">The disk.</param>
/// <param name="Type">What the job is called.</param>
internal sealed record DiskJobSetup(Domain Domain, DomainDisk Disk, BlockJobType Type)
{
    /// <summary>Of a copy or active commit: the second file, for the description.</summary>
    internal DiskSource? Mirror { get; init; }

    /// <summary>Whether the files that the disk does not need any more are deleted once the job has completed.</summary>
    internal bool DeletesFiles { get; init; }
}
