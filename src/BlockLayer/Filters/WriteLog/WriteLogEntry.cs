using System.Text;
using BlockLayer.Primitives;

namespace BlockLayer.Filters;

/// <summary>One entry of a write log.</summary>
/// <param name="Kind">What was done.</param>
/// <param name="Range">Where; empty for a flush and a mark.</param>
/// <param name="Data">The bytes of a write, the UTF-8 name of a mark; empty for anything else.</param>
public sealed record WriteLogEntry(WriteLogKind Kind, ByteRange Range, ReadOnlyMemory<byte> Data)
{
    /// <summary>Of a flush: how many of the changes that the log begins with are durable by it. Changes are writes, zeroes and discards.</summary>
    public long Covers { get; init; }

    /// <summary>The name of a mark; empty for anything else.</summary>
    public string Name => Kind == WriteLogKind.Mark ? Encoding.UTF8.GetString(Data.Span) : "";

    /// <summary>True for what changes a disk.</summary>
    public bool IsChange => Kind is WriteLogKind.Write or WriteLogKind.Zeroes or WriteLogKind.Discard;
}
