namespace BlockLayer.Simulation;

/// <summary>A change of names that is not durable, and the directories that must still be flushed for it.</summary>
internal sealed record PendingNameChange(PendingOperation Operation, List<string> UnflushedDirectories);
