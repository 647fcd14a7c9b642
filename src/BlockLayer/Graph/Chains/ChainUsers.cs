namespace BlockLayer.Graph;

/// <summary>Who stands on an image in this process, filters looked through.</summary>
internal static class ChainUsers
{
    /// <summary>The links by which others use an image; a filter that stands on it is one of those others.</summary>
    internal static IReadOnlyList<BlockEdge> LinksTo(BlockNode image) => image.Parents;

    /// <summary>
    /// The nodes that use an image: its overlays, and whatever else reads it. A filter that nothing stands on, such as the root of a disk, is one of them, and so is
    /// one that has the image for another purpose than to show it.
    /// </summary>
    internal static IEnumerable<BlockNode> Of(BlockNode image) => image.Parents.SelectMany(static link => UsersBy(link)).Distinct();

    /// <summary>The nodes that use an image by one of its links.</summary>
    internal static IEnumerable<BlockNode> UsersBy(BlockEdge link)
        => link is { Role: EdgeRole.Filtered, Parent: FilterNode filter } && filter.Parents.Count > 0
            ? filter.Parents.SelectMany(static above => UsersBy(above))
            : [link.Parent];

    /// <summary>
    /// Puts back the headers, of all images that stand on an image, one on the other, that may name something else on disk (<see cref="BlockNode.IsHeaderUncertain"/>). Whoever takes
    /// files out of a chain does this first, because what such a header names may be one of them.
    /// </summary>
    /// <param name="image">The image, drained by the caller, and so everything above it.</param>
    internal static async ValueTask SettleAboveAsync(BlockNode image)
    {
        foreach (BlockNode user in Of(image).Where(static user => user is not FilterNode))
        {
            if (user.IsHeaderUncertain)
            {
                await user.FlushAsync(Origin.Edge, CancellationToken.None).ConfigureAwait(false);
            }

            await SettleAboveAsync(user).ConfigureAwait(false);
        }
    }
}
