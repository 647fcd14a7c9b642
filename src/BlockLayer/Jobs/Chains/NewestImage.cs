using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Jobs;

/// <summary>The image that a job was made for, which another job or a snapshot may have taken the place of before this one was set up.</summary>
internal static class NewestImage
{
    /// <summary>Makes sure that an image is still what guests of a disk write.</summary>
    /// <param name="disk">The disk's root, or the image itself.</param>
    /// <param name="image">Drained by the caller, so that the answer stays right until the change of the graph ends.</param>
    /// <exception cref="BlockLayerException">Conflict: the disk goes on with another image by now.</exception>
    internal static void Require(BlockNode disk, BlockNode image)
    {
        if (disk.SkipFilters() is var newest && newest != image)
        {
            throw new BlockLayerException(
                BlockErrorKind.Conflict, $"'{image.NodeName}' is no longer the newest image of its disk: '{newest.NodeName}' has just taken its place.")
            {
                NodeName = image.NodeName,
                Path = image.Path,
            };
        }
    }
}
