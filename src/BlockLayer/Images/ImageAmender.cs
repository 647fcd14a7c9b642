using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Images;

/// <summary>Changes options that an image was created with: for qcow2 the version, the width of refcounts, and whether they may be lazy.</summary>
public static class ImageAmender
{
    /// <summary>Changes options of one image, each in one step that a crash leaves undone or done. Guests' requests wait meanwhile. Durable on return.</summary>
    /// <param name="node">The image; filters on top are looked through.</param>
    /// <param name="options">Names and values in qemu-img's spelling, as for creating an image: <c>compat=1.1</c>.</param>
    /// <param name="cancellationToken">Honoured until a step is made, and between steps.</param>
    /// <exception cref="ArgumentException">An option that cannot be changed, a value it does not take, or two that exclude each other. Nothing was changed.</exception>
    /// <exception cref="BlockLayerException">
    /// Unsupported: the format, or the image holds what the new value cannot say. ReadOnly, Conflict (a job works with the image), Corrupt, NoSpace, Io.
    /// </exception>
    public static ValueTask AmendAsync(BlockNode node, IReadOnlyDictionary<string, string> options, CancellationToken cancellationToken = default)
    {
        BlockNode image = node.SkipFilters();
        return image is IAmendableImage amendable
            ? amendable.AmendAsync(options, cancellationToken)
            : throw new BlockLayerException(BlockErrorKind.Unsupported, $"Format {image.DriverName} has no options that could be amended.") { NodeName = image.NodeName, Path = image.Path };
    }
}
