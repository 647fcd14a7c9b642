namespace BlockLayer.Graph;

/// <summary>The links from an image down to another, which stay as they are until this is disposed. The link below the lower image is not among them.</summary>
internal sealed class ChainFreeze : IDisposable
{
    private readonly List<BlockEdge.Freeze> _links = [];

    private ChainFreeze()
    {
    }

    /// <summary>Freezes the backing links between two images of a chain and, where filters stand in them, the filters' links.</summary>
    /// <param name="top">An image, or a filter in front of it.</param>
    /// <param name="bottom">The same image or one below it.</param>
    /// <param name="by">Who asks, for the message of whoever is refused.</param>
    internal static ChainFreeze Between(BlockNode top, BlockNode bottom, string by)
    {
        var freeze = new ChainFreeze();
        foreach (BlockNode image in BackingChain.Images(top).TakeWhile(image => image != bottom.SkipFilters()))
        {
            for (BlockEdge? link = image.BackingEdge; link is not null; link = (link.Child as FilterNode)?.Filtered)
            {
                freeze._links.Add(link.FreezeFor(by));
            }
        }

        return freeze;
    }

    /// <summary>Lets the links change again; later calls do nothing.</summary>
    public void Dispose()
    {
        foreach (BlockEdge.Freeze link in _links)
        {
            link.Dispose();
        }

        _links.Clear();
    }
}
