namespace BlockLayer.Graph;

/// <summary>One internal snapshot: a state of the disk that the image keeps beside the present one.</summary>
public sealed record SnapshotInfo
{
    /// <summary>What identifies it in its image; a number unless another program chose otherwise.</summary>
    public required string Id { get; init; }

    /// <summary>The name it was given. Several may have the same.</summary>
    public required string Name { get; init; }

    /// <summary>When it was taken.</summary>
    public DateTimeOffset Taken { get; init; }

    /// <summary>Nanoseconds the virtual machine had run; 0 where none was running.</summary>
    public ulong GuestNanoseconds { get; init; }

    /// <summary>Bytes of the virtual machine's state that are kept with it; 0 for none.</summary>
    public ulong VmStateSize { get; init; }

    /// <summary>Bytes of the virtual disk when it was taken.</summary>
    public long DiskSize { get; init; }

    /// <summary>Instructions the virtual machine had run, where they were counted.</summary>
    public ulong? InstructionCount { get; init; }
}
