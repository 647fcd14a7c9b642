using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.Filters;

// Under the users of an image that is open, and out again.
public sealed partial class MirrorNode
{
    /// <summary>
    /// Puts a mirror between an image and everything above it, under drain. Nothing is copied: what may differ is noted and left to <see cref="RepairAsync"/>. On success
    /// the users of the image own the mirror, and it the other nodes; on failure nothing has changed and the caller owns what it owned.
    /// </summary>
    /// <exception cref="Errors.BlockLayerException">As <see cref="OpenAsync(BlockNode, BlockNode, BlockNode?, MirrorOptions?, CancellationToken)"/>; Conflict: a link to a user is frozen.</exception>
    internal static async ValueTask<MirrorNode> InsertAsync(
        BlockNode image,
        BlockNode destination,
        BlockNode? log,
        MirrorOptions options,
        CancellationToken cancellationToken)
    {
        using GraphChange change = await GraphChange.BeginAsync(image, cancellationToken).ConfigureAwait(false);
        options = options.Sync == MirrorSync.Copy ? options with { Sync = MirrorSync.Later } : options;
        image.AddReference(); // the mirror's
        MirrorNode mirror;
        try
        {
            // Beside the present users first: it cannot need more than they share.
            mirror = await OpenAsync(image, destination, log, options, Reads, ImagePermissions.All, cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            await image.DisposeAsync().ConfigureAwait(false);
            throw;
        }

        try
        {
            await FilterInsertion.InsertAsync(change, image, mirror, NeedsOf(image), Shares).ConfigureAwait(false);
        }
        catch
        {
            destination.AddReference();
            log?.AddReference();
            await mirror.DisposeAsync().ConfigureAwait(false);
            throw;
        }

        await mirror.DisposeAsync().ConfigureAwait(false); // one reference of several: its users own it
        return mirror;
    }

    /// <summary>Takes the mirror out from under its users, who go on with the source, and closes the destination and the log.</summary>
    /// <exception cref="Errors.BlockLayerException">
    /// Conflict: a job needs the graph as it is; nothing has changed. NoSpace, Io: the mirror is out, but a side could not be flushed, and the log says so.
    /// </exception>
    public async ValueTask RemoveAsync(CancellationToken cancellationToken = default)
    {
        AddReference();
        try
        {
            using GraphChange change = await GraphChange.BeginAsync(this, cancellationToken).ConfigureAwait(false);
            await FilterInsertion.RemoveAsync(this).ConfigureAwait(false);
        }
        finally
        {
            await DisposeAsync().ConfigureAwait(false);
        }
    }
}
