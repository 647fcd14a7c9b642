using BlockLayer.Graph;

namespace BlockLayer.Jobs;

/// <summary>Gives an image another backing file, in its header and in the graph, in the order of a durable completion.</summary>
internal static class BackingSwitch
{
    /// <summary>
    /// Flushes the image, records the reference durably, and only then reads from the new node: up to the header the old chain reads right, from the header on both do.
    /// </summary>
    /// <param name="image">Drained by the caller, who has seen to it that it lacks nothing that only the old chain has.</param>
    /// <param name="next">The new backing node, whose ownership passes to the image on success; null for none.</param>
    /// <param name="reference">What is recorded; null for none.</param>
    /// <returns>The ownership of the previous backing node, to be closed when the doors are open again; null if there was none.</returns>
    /// <exception cref="Errors.BlockLayerException">
    /// Unsupported, NoSpace: the reference cannot be recorded; Conflict: somebody needs the chain as it is; Io. Nothing was switched; after Io at the header's write
    /// the disk has either reference until a flush of the image puts the old one back.
    /// </exception>
    internal static async ValueTask<BlockNode?> RunAsync(BlockNode image, BlockNode? next, BackingReference? reference)
    {
        image.ThrowIfCannotRecordBacking(reference);
        if (image.BackingEdge is { } edge)
        {
            image.ThrowIfCannotReplaceChild(edge, next);
            await RecordAsync(image, reference).ConfigureAwait(false);
            if (next is not null)
            {
                return image.ReplaceChild(edge, next);
            }

            BlockNode previous = edge.Child;
            previous.AddReference();
            await image.DetachAsync(edge).ConfigureAwait(false);
            return previous;
        }

        if (next is null)
        {
            await RecordAsync(image, reference).ConfigureAwait(false);
            return null;
        }

        image.AttachBacking(next); // first, because it may be refused
        try
        {
            await RecordAsync(image, reference).ConfigureAwait(false);
            return null;
        }
        catch
        {
            next.AddReference(); // the caller's again
            await image.DetachAsync(image.BackingEdge!).ConfigureAwait(false);
            throw;
        }
    }

    private static async ValueTask RecordAsync(BlockNode image, BackingReference? reference)
    {
        await image.FlushAsync(Origin.Edge, CancellationToken.None).ConfigureAwait(false);
        await image.RecordBackingAsync(reference, CancellationToken.None).ConfigureAwait(false);
    }
}
