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
    private readonly NodeReopen _reopen;

    private BaseAccess(BlockNode overlay, BlockEdge edge, ImagePermissions shares, NodeReopen reopen)
    {
        _overlay = overlay;
        _edge = edge;
        _shares = shares;
        _reopen = reopen;
    }

    /// <summary>Makes the backing node of <paramref name="overlay"/> writable through its door. On failure nothing has changed.</summary>
    /// <exception cref="Errors.BlockLayerException">As for <see cref="NodeReopen.MakeWritableAsync"/>.</exception>
    internal static async ValueTask<BaseAccess> TakeAsync(BlockNode overlay, CancellationToken cancellationToken)
    {
        BlockEdge edge = overlay.BackingEdge!;
        using GraphChange change = await GraphChange.BeginAsync(edge.Child.SkipFilters(), cancellationToken).ConfigureAwait(false);
        NodeReopen reopen = await NodeReopen.MakeWritableAsync(change, edge.Child, cancellationToken).ConfigureAwait(false);
        ImagePermissions shares = edge.Shares;
        overlay.ChangePermissions(edge, edge.Needs, ImagePermissions.All); // more for others: nobody can object
        return new BaseAccess(overlay, edge, shares, reopen);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        using GraphChange change = await GraphChange.BeginAsync(_edge.Child.SkipFilters(), CancellationToken.None).ConfigureAwait(false);
        _overlay.ChangePermissions(_edge, _edge.Needs, _shares);
        await _reopen.RestoreAsync(change).ConfigureAwait(false);
    }
}
