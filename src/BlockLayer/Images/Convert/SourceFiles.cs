using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Jobs;

namespace BlockLayer.Images;

/// <summary>The files that the source of a copy is read from. None of them can be its target.</summary>
internal static class SourceFiles
{
    /// <summary>
    /// Refuses a target that is one of them, whatever name leads there. The lock of the open source would refuse it too, but as a file that somebody uses, which the caller might wait for in vain.
    /// </summary>
    /// <param name="source">The source with its chain.</param>
    /// <param name="target">The file to write into, or to replace; it need not exist.</param>
    /// <exception cref="BlockLayerException">InvalidFormat: the target is the source itself, or a part of its chain.</exception>
    internal static void ThrowIfAmong(BlockNode source, string target)
    {
        if (source.Environment.Files.GetInfo(target)?.Identity is not { } identity)
        {
            return;
        }

        foreach (BlockNode image in BackingChain.Images(source))
        {
            if (JobFiles.FilesOf(image).Any(file => file.Identity == identity))
            {
                string message = image == source.SkipFilters()
                    ? "It is the source of the copy, which cannot be copied onto itself."
                    : $"It is a part of the backing chain of '{source.SkipFilters().NodeName}', which cannot be copied onto it.";
                throw new BlockLayerException(BlockErrorKind.InvalidFormat, message) { Path = target };
            }
        }
    }
}
