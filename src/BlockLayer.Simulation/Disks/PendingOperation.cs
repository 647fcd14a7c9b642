using BlockLayer.Primitives;

namespace BlockLayer.Simulation;

/// <summary>
/// A change that a power failure may still undo: issued, perhaps completed, not covered by a completed flush. Changes of a file's bytes belong to the
/// file's cache, changes of names to the directories'.
/// </summary>
internal sealed class PendingOperation
{
    /// <summary>Number in the order of issue over the whole volume.</summary>
    internal required long Number { get; init; }

    /// <summary>What was asked. For a rename <see cref="StorageCall.Path"/> is the old name.</summary>
    internal required StorageCall Call { get; init; }

    /// <summary>The file whose bytes change, or that gets a name; null for a deletion.</summary>
    internal required CachedFile? File { get; init; }

    /// <summary>The bytes of a write: a private copy. Null for anything else.</summary>
    internal SparseContent.SharedData? Data { get; init; }

    /// <summary>The new name of a rename.</summary>
    internal string? NewPath { get; init; }

    /// <summary>True once it completed, so that a flush that begins now covers it.</summary>
    internal bool IsCompleted { get; set; }

    /// <summary>Order of completion over the whole volume.</summary>
    internal long CompletedAt { get; set; } = long.MaxValue;

    /// <summary>Less than all if the operation failed after a part of it.</summary>
    internal SectorPattern Extent { get; set; } = SectorPattern.All;

    /// <summary>True for operations on bytes that a crash can tear.</summary>
    internal bool CanTear => Call.Kind is StorageOperations.Write or StorageOperations.WriteZeroes or StorageOperations.Discard;

    /// <summary>Does to <paramref name="content"/> what the operation does, as far as its sectors are in <paramref name="survivors"/>.</summary>
    internal void ApplyTo(SparseContent content, SectorPattern survivors)
    {
        switch (Call.Kind)
        {
            case StorageOperations.SetLength:
                content.SetLength(Call.Offset);
                break;
            case StorageOperations.Write when survivors.IsAll:
                content.Write(Data!);
                break;
            case StorageOperations.Write:
                foreach (ByteRange run in survivors.Runs(Call.Range))
                {
                    content.Write(run.Offset, Data!.Bytes.Span.Slice((int)(run.Offset - Call.Offset), (int)run.Length));
                }

                break;
            case StorageOperations.WriteZeroes:
                foreach (ByteRange run in survivors.Runs(Call.Range))
                {
                    content.Clear(run.Offset, run.Length);
                    content.SetLength(Math.Max(content.Length, run.End));
                }

                break;
            case StorageOperations.Discard:
                foreach (ByteRange run in survivors.Runs(Call.Range.ClampTo(content.Length)))
                {
                    content.Clear(run.Offset, run.Length);
                }

                break;
            default:
                throw new InvalidOperationException($"{Call.Kind} does not change bytes.");
        }

        if (survivors.IsLengthOnly && Call.Kind != StorageOperations.Discard)
        {
            content.SetLength(Math.Max(content.Length, Call.Range.End));
        }
    }

    /// <inheritdoc/>
    public override string ToString() => NewPath is null ? Call.ToString() : $"{Call} -> {NewPath}";
}
