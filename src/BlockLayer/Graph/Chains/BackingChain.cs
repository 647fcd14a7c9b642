using BlockLayer.Errors;

namespace BlockLayer.Graph;

/// <summary>Questions about a chain of images, filters looked through. The top is the newest image.</summary>
public static class BackingChain
{
    /// <summary>The images from <paramref name="top"/> down, filters left out.</summary>
    public static IEnumerable<BlockNode> Images(BlockNode top)
    {
        for (BlockNode? node = top.SkipFilters(); node is not null; node = node.Backing?.SkipFilters())
        {
            yield return node;
        }
    }

    /// <summary>How many backing links lie below <paramref name="top"/>.</summary>
    public static int Depth(BlockNode top) => Images(top).Count() - 1;

    /// <summary>The image whose backing file is <paramref name="node"/>; null if the node is not below <paramref name="top"/>.</summary>
    public static BlockNode? OverlayOf(BlockNode top, BlockNode node)
        => Images(top).FirstOrDefault(image => image.Backing?.SkipFilters() == node.SkipFilters());

    /// <summary>True when <paramref name="node"/> lies strictly below <paramref name="top"/>.</summary>
    public static bool IsBelow(BlockNode top, BlockNode node) => OverlayOf(top, node) is not null;

    /// <summary>The image of the chain that is stored in the file <paramref name="path"/>, whatever name led to it.</summary>
    /// <exception cref="BlockLayerException">NotFound: no image of the chain is stored there. The message lists those that are.</exception>
    public static BlockNode FindByPath(BlockNode top, string path)
    {
        Storage.StorageFileInfo? wanted = top.Environment.Files.GetInfo(path);
        foreach (BlockNode image in Images(top))
        {
            bool same = image.Path is { } at
                && (at == path || (wanted is not null && top.Environment.Files.GetInfo(at) is { } found && found.Identity == wanted.Identity));
            if (same)
            {
                return image;
            }
        }

        string chain = string.Join(" <- ", Images(top).Reverse().Select(image => image.Path ?? image.NodeName));
        throw new BlockLayerException(BlockErrorKind.NotFound, $"'{path}' is not in the backing chain {chain}.") { NodeName = top.NodeName, Path = path };
    }

    /// <summary>Makes sure, before something is destroyed to hold what a chain holds, that nothing was withheld when its images were opened.</summary>
    /// <param name="top">The newest image that is read.</param>
    /// <param name="bottom">The last one that is read; null: the whole chain is.</param>
    /// <exception cref="BlockLayerException">Denied: the data of an image lies in a file that was not opened, or is encrypted and was opened without its passphrase.</exception>
    internal static void ThrowIfNotWithinReach(BlockNode top, BlockNode? bottom = null)
    {
        foreach (BlockNode image in Images(top))
        {
            image.ThrowIfNotWithinReach();
            if (image == bottom?.SkipFilters())
            {
                return;
            }
        }
    }

    /// <summary>
    /// Who decides the run that starts at <paramref name="offset"/>, asking the images from <paramref name="top"/> down to <paramref name="bottom"/>, both included.
    /// Past the end of an image that is not the top, that image decides, and the run is zero.
    /// </summary>
    /// <returns>A run whose <see cref="BlockStatus.Provider"/> is null when nothing down to <paramref name="bottom"/> decides it.</returns>
    public static ValueTask<BlockStatus> GetStatusAsync(
        BlockNode top,
        BlockNode bottom,
        long offset,
        long length,
        CancellationToken cancellationToken = default)
        => GetStatusAsync(Origin.Door, top, bottom, offset, length, cancellationToken);

    /// <summary>The same for a request that is inside already; without a <paramref name="bottom"/> the whole chain is asked.</summary>
    internal static ValueTask<BlockStatus> GetStatusAsync(
        Origin origin,
        BlockNode top,
        BlockNode? bottom,
        long offset,
        long length,
        CancellationToken cancellationToken)
        => top.GetStatusDownToAsync(origin, offset, length, bottom, cancellationToken);

    /// <summary>What the images from <paramref name="backing"/> down say, on behalf of a request inside the image above it.</summary>
    internal static async ValueTask<BlockStatus> GetStatusBelowAsync(
        BlockNode backing,
        long offset,
        long length,
        BlockNode? bottom,
        CancellationToken cancellationToken)
    {
        int depth = 1;
        for (BlockNode? node = backing; node is not null; node = node.Backing, depth++)
        {
            if (offset >= node.Length)
            {
                return BlockStatus.Zeroes(length, node.SkipFilters()) with { Depth = depth };
            }

            length = Math.Min(length, node.Length - offset);
            BlockStatus status = await node.GetStatusAsync(Origin.Edge, offset, length, StatusDepth.Node, cancellationToken).ConfigureAwait(false);
            if (status.IsAllocated)
            {
                return status with { Depth = depth };
            }

            length = status.Length;
            if (bottom is not null && node.SkipFilters() == bottom.SkipFilters())
            {
                return BlockStatus.Unallocated(length);
            }
        }

        return new BlockStatus(StatusFlags.Zero, length);
    }
}
