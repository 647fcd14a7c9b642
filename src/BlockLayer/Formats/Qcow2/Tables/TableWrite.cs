namespace BlockLayer.Formats.Qcow2;

/// <summary>A copy of a dirty part of a table, taken under the allocation lock, to be written without it.</summary>
/// <param name="At">Where it goes in the file.</param>
/// <param name="Bytes">What goes there.</param>
/// <param name="Source">Who is told once it is durable.</param>
/// <param name="Key">Which part of the source it is.</param>
/// <param name="Version">The version of that part when it was copied.</param>
internal readonly record struct TableWrite(HostOffset At, ReadOnlyMemory<byte> Bytes, IDirtyTable Source, long Key, long Version);
