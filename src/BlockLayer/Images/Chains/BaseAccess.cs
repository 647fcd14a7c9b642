using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.Images;

/// <summary>
/// The right to write an image below the top, taken from the image above it for as long as a commit runs. Disposed, the base is read-only again and everything of it on disk.
/// </summary>
internal sealed class BaseAccess : IAsyncDisposable
{
    private readonly BlockNode _overlay;
    private readonly BlockEdge _edge;
    private readonly ImagePermissions _shares;
    private readonly List<NodeReopen> _writable = [];

    private BaseAccess(BlockNode overlay)
    {
        _overlay = overlay;
        _edge = overlay.BackingEdge!;
        _shares = _edge.Shares;
    }

    /// <summary>Makes the backing node of <paramref name="overlay"/> writable through its door. On failure nothing has changed.</summary>
    /// <param name="top">The newest image that is committed.</param>
    /// <param name="overlay">The last one above the base; the same or one below.</param>
    /// <param name="cancellationToken">Honoured until the base is writable.</param>
    /// <exception cref="BlockLayerException">As for <see cref="NodeReopen.MakeWritableAsync"/>; NoSpace, Io.</exception>
    internal static async ValueTask<BaseAccess> TakeAsync(BlockNode top, BlockNode overlay, CancellationToken cancellationToken)
    {
        var access = new BaseAccess(overlay);
        BlockNode basis = access._edge.Child.SkipFilters();
        using GraphChange change = await GraphChange.BeginAsync(basis, cancellationToken).ConfigureAwait(false);
        try
        {
            await BackingKnowledge.ForgetAsync(change, BackingChain.Images(top).TakeWhile(image => image != basis), access._writable, cancellationToken).ConfigureAwait(false);
            access._writable.Add(await NodeReopen.MakeWritableAsync(change, basis, cancellationToken).ConfigureAwait(false));
        }
        catch (Exception reason)
        {
            await Aftermath.UndoAsync(reason, () => access.RestoreAsync(change)).ConfigureAwait(false);
            throw;
        }

        overlay.ChangePermissions(access._edge, access._edge.Needs, ImagePermissions.All); // more for others: nobody can object
        return access;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        using GraphChange change = await GraphChange.BeginAsync(_edge.Child.SkipFilters(), CancellationToken.None).ConfigureAwait(false);
        _overlay.ChangePermissions(_edge, _edge.Needs, _shares);
        await RestoreAsync(change).ConfigureAwait(false);
    }

    private async ValueTask RestoreAsync(GraphChange change)
    {
        foreach (NodeReopen image in Enumerable.Reverse(_writable)) // the base first: what stands on it notes what it finds there, and that has to be durable
        {
            await image.RestoreAsync(change).ConfigureAwait(false);
        }
    }
}
