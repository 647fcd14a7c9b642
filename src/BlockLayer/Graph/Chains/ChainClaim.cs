using BlockLayer.Errors;

namespace BlockLayer.Graph;

/// <summary>
/// The part of a chain that one job works on: the top, which it changes and nobody else may touch; the images below, which it reads and others may read too;
/// and the links between them, which stay as they are. The link below the lowest image is not part of it: another job may change what lies there.
/// </summary>
/// <remarks>A job that writes the lowest image, and makes those above it useless, claims them whole: nobody else may touch any, nor read it.</remarks>
internal sealed class ChainClaim : IDisposable
{
    private readonly List<BlockNode> _images = [];
    private readonly string _by;
    private readonly bool _isWhole;
    private ChainFreeze? _freeze;

    private ChainClaim(string by, bool isWhole) => (_by, _isWhole) = (by, isWhole);

    /// <summary>The image that the job changes.</summary>
    private BlockNode Top => _images[0];

    /// <summary>Claims the images from <paramref name="top"/> down to <paramref name="bottom"/>, both included.</summary>
    /// <param name="top">An image, not a filter.</param>
    /// <param name="bottom">The top, or an image below it.</param>
    /// <param name="by">Who claims, for the message of whoever is refused.</param>
    /// <exception cref="BlockLayerException">Conflict: another job changes one of them, or reads the top; or somebody keeps the top's backing link as it is.</exception>
    internal static ChainClaim Take(BlockNode top, BlockNode bottom, string by)
    {
        ChainClaim claim = Take(top, bottom, by, isWhole: false);
        claim._freeze = ChainFreeze.Between(top, bottom, by);
        return claim;
    }

    /// <summary>Claims the images from <paramref name="top"/> down to <paramref name="bottom"/> for one job alone. The links are not frozen yet.</summary>
    /// <param name="top">An image, not a filter.</param>
    /// <param name="bottom">The top, or an image below it.</param>
    /// <param name="by">Who claims, for the message of whoever is refused.</param>
    /// <exception cref="BlockLayerException">Conflict: another job works on one of them; or somebody keeps the top's backing link as it is.</exception>
    internal static ChainClaim TakeWhole(BlockNode top, BlockNode bottom, string by) => Take(top, bottom, by, isWhole: true);

    /// <summary>Makes sure that no job changes an image.</summary>
    /// <param name="image">An image, not a filter.</param>
    /// <param name="by">Who asks, for the message of whoever is refused.</param>
    /// <exception cref="BlockLayerException">Conflict: one does.</exception>
    internal static void ThrowIfChanged(BlockNode image, string by)
    {
        lock (image.Environment.TopologyLock)
        {
            if (image.Claims.Find(claim => claim.Changes(image)) is { } claim)
            {
                throw claim.Refusal(image, by);
            }
        }
    }

    /// <summary>Freezes the links between the claimed images, once the job has put its filters there.</summary>
    internal void Freeze() => _freeze ??= ChainFreeze.Between(Top, _images[^1], _by);

    private static ChainClaim Take(BlockNode top, BlockNode bottom, string by, bool isWhole)
    {
        var claim = new ChainClaim(by, isWhole);
        lock (top.Environment.TopologyLock)
        {
            foreach (BlockNode image in BackingChain.Images(top))
            {
                if (image.Claims.Find(other => isWhole || image == top || other.Changes(image)) is { } refusing)
                {
                    throw refusing.Refusal(image, by);
                }

                claim._images.Add(image);
                if (image == bottom)
                {
                    break;
                }
            }

            top.BackingEdge?.ThrowIfFrozen(); // else a job would learn it when everything is copied
            foreach (BlockNode image in claim._images)
            {
                image.Claims.Add(claim);
            }
        }

        return claim;
    }

    private bool Changes(BlockNode image) => _isWhole || image == Top;

    private BlockLayerException Refusal(BlockNode image, string by)
        => new(BlockErrorKind.Conflict, $"{by} needs '{image.NodeName}', which {_by} is working on.") { NodeName = image.NodeName, Path = image.Path };

    /// <summary>Lets the links change again; the images stay claimed.</summary>
    internal void Thaw()
    {
        _freeze?.Dispose();
        _freeze = null;
    }

    /// <summary>Lets everything go; later calls do nothing.</summary>
    public void Dispose()
    {
        Thaw();
        if (_images.Count == 0)
        {
            return;
        }

        lock (Top.Environment.TopologyLock)
        {
            foreach (BlockNode image in _images)
            {
                image.Claims.Remove(this);
            }
        }

        _images.Clear();
    }
}
