using BlockLayer.Primitives;

namespace BlockLayer.Filters;

/// <summary>One request of a write log.</summary>
/// <param name="Kind">What it did.</param>
/// <param name="Range">Where; empty for a flush.</param>
/// <param name="Data">The bytes of a write; empty for anything else.</param>
public sealed record WriteLogEntry(WriteLogKind Kind, ByteRange Range, ReadOnlyMemory<byte> Data);
