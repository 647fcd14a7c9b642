using BlockLayer.Errors;

namespace BlockLayer.Graph;

/// <summary>
/// The part of a chain that one job works on: its images, which no other job may touch, and the links between them, which stay as they are. Jobs on
/// disjoint parts run side by side. The link below the lowest image is not part of it: another job may change what lies there.
/// </summary>
internal sealed class ChainClaim : IDisposable
{
    private readonly List<BlockNode> _images = [];
    private readonly List<BlockEdge.Freeze> _freezes = [];

    private ChainClaim()
    {
    }

    /// <summary>Claims the images from <paramref name="top"/> down to <paramref name="bottom"/>, both included.</summary>
    /// <param name="top">An image, not a filter.</param>
    /// <param name="bottom">The top, or an image below it.</param>
    /// <param name="by">Who claims, for the message of whoever is refused.</param>
    /// <exception cref="BlockLayerException">Conflict: another job works on one of them.</exception>
    internal static ChainClaim Take(BlockNode top, BlockNode bottom, string by)
    {
        var claim = new ChainClaim();
        lock (top.Environment.TopologyLock)
        {
            foreach (BlockNode image in BackingChain.Images(top))
            {
                if (image.ClaimedBy is { } other)
                {
                    throw new BlockLayerException(BlockErrorKind.Conflict, $"{by} needs '{image.NodeName}', which {other} is working on.")
                    {
                        NodeName = image.NodeName,
                        Path = image.Path,
                    };
                }

                claim._images.Add(image);
                if (image == bottom)
                {
                    break;
                }
            }

            foreach (BlockNode image in claim._images)
            {
                image.ClaimedBy = by;
            }
        }

        foreach (BlockNode image in claim._images.SkipLast(1))
        {
            claim.FreezeBelow(image, by);
        }

        return claim;
    }

    /// <summary>Lets the links change again; the images stay claimed.</summary>
    internal void Thaw()
    {
        foreach (BlockEdge.Freeze freeze in _freezes)
        {
            freeze.Dispose();
        }

        _freezes.Clear();
    }

    /// <summary>Lets everything go; later calls do nothing.</summary>
    public void Dispose()
    {
        Thaw();
        if (_images.Count == 0)
        {
            return;
        }

        lock (_images[0].Environment.TopologyLock)
        {
            foreach (BlockNode image in _images)
            {
                image.ClaimedBy = null;
            }
        }

        _images.Clear();
    }

    // The backing link and, if filters stand in it, their links down to the next image.
    private void FreezeBelow(BlockNode image, string by)
    {
        BlockEdge? edge = image.BackingEdge;
        while (edge is not null)
        {
            _freezes.Add(edge.FreezeFor(by));
            edge = (edge.Child as FilterNode)?.Filtered;
        }
    }
}
