namespace BlockLayer.Simulation;

/// <summary>One line of a <see cref="StorageLog"/>.</summary>
public sealed record StorageLogEntry
{
    /// <summary>Position in the log as it was recorded, from 0.</summary>
    public required long Number { get; init; }

    /// <summary>What happened.</summary>
    public required StorageLogEvent Event { get; init; }

    /// <summary>The call; of an end, the call that ended.</summary>
    public StorageCall Call { get; init; }

    /// <summary>Of an end, the number of the entry that tells the beginning; of a beginning, its own.</summary>
    public long Beginning { get; init; }

    /// <summary>Which file, as a number of the log; -1 where the call concerns none.</summary>
    public int File { get; init; } = -1;

    /// <summary>The bytes of a write that began.</summary>
    public ReadOnlyMemory<byte> Data { get; init; }

    /// <summary>The new name in a rename.</summary>
    public string? NewPath { get; init; }

    /// <summary>What the program noted.</summary>
    public object? Note { get; init; }

    /// <inheritdoc/>
    public override string ToString() => Event == StorageLogEvent.Note ? $"{Number} note {Note}" : $"{Number} {Event} {Call}{(NewPath is null ? "" : $" -> {NewPath}")}";
}
