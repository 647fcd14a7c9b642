using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.Filters;

/// <summary>
/// Stands on the base of a commit: shows the images above the base as it is, and is the way by which the job writes into it. Those images share no writing
/// of what they read, and are promised none: the job writes only where they hide the base.
/// </summary>
internal sealed class CommitBaseNode : FilterNode
{
    /// <summary>What the filter needs once it stands between the base and the images above it.</summary>
    internal const ImagePermissions Needs = ImagePermissions.ConsistentRead | ImagePermissions.Write | ImagePermissions.Resize;

    /// <summary>Puts the filter on a base, beside its present users, and takes over the caller's ownership of it; <see cref="FilterInsertion"/> then puts it between.</summary>
    internal CommitBaseNode(BlockNode image)
        : base(image.NodeName, image, ImagePermissions.ConsistentRead, ImagePermissions.All)
    {
    }

    /// <inheritdoc/>
    public override string DriverName => "commit-base";

    /// <summary>Writes into the base. A drain holds it back.</summary>
    internal async ValueTask StoreAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        int slot = await EnterAsync(Origin.Door, cancellationToken).ConfigureAwait(false);
        try
        {
            await Filtered.WriteAsync(offset, data, CancellationToken.None).ConfigureAwait(false);
        }
        finally
        {
            Gate.Exit(slot);
        }
    }

    /// <summary>Makes a range of the base read as zeroes, without keeping its room. A drain holds it back.</summary>
    internal async ValueTask StoreZeroesAsync(long offset, long length, CancellationToken cancellationToken)
    {
        int slot = await EnterAsync(Origin.Door, cancellationToken).ConfigureAwait(false);
        try
        {
            await Filtered.WriteZeroesAsync(offset, length, ZeroFlags.MayUnmap, CancellationToken.None).ConfigureAwait(false);
        }
        finally
        {
            Gate.Exit(slot);
        }
    }

    /// <summary>Makes the base longer; the filter is drained.</summary>
    internal ValueTask GrowAsync(long length, CancellationToken cancellationToken) => Filtered.ResizeAsync(length, ResizeOptions.GrowOnly, cancellationToken);

    /// <summary>Makes what was stored durable, while the filter is drained.</summary>
    internal ValueTask FlushDrainedAsync() => Filtered.FlushAsync(CancellationToken.None);
}
