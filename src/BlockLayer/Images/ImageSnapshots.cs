using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Images;

/// <summary>
/// Internal snapshots of an image: states of its disk that the image file itself keeps. They work on an image that guests use, whose requests wait meanwhile; each change is one step,
/// durable on return, and after a crash the image is as before it or as after it.
/// </summary>
/// <remarks>
/// <para>A snapshot keeps what the image holds itself. Where nothing is allocated it shows the backing file, so a job that changes the backing file, or its name, changes what
/// the snapshots of the image show.</para>
/// <para>A snapshot is named by its id or, where no snapshot has that id, by its name; of several with one name the first is meant. A text that is the id of one and the
/// name of another is refused. To read one, open the image with <see cref="ImageOpenOptions.Snapshot"/>.</para>
/// </remarks>
public static class ImageSnapshots
{
    /// <summary>True when the image's format has internal snapshots.</summary>
    public static bool CanHave(BlockNode node) => node.SkipFilters() is ISnapshotImage;

    /// <summary>The snapshots of one image, in the order of its table.</summary>
    /// <param name="node">The image; filters on top are looked through.</param>
    /// <param name="cancellationToken">Honoured while it waits.</param>
    /// <exception cref="BlockLayerException">Unsupported: the format has none; InvalidFormat or Corrupt: the table cannot be read; Io.</exception>
    public static ValueTask<IReadOnlyList<SnapshotInfo>> ListAsync(BlockNode node, CancellationToken cancellationToken = default)
        => ImageOf(node).ListSnapshotsAsync(cancellationToken);

    /// <summary>Keeps the present state of the disk.</summary>
    /// <param name="node">The image; filters on top are looked through.</param>
    /// <param name="name">At most 255 bytes of UTF-8; need not be unique.</param>
    /// <param name="cancellationToken">Honoured until the change is made.</param>
    /// <exception cref="ArgumentException">The name cannot be stored.</exception>
    /// <exception cref="BlockLayerException">
    /// Unsupported: the format, or an image whose refcounts are too narrow, or which has as many as are allowed. ReadOnly, Conflict (a job works with the image), Corrupt, NoSpace, Io.
    /// </exception>
    public static ValueTask<SnapshotInfo> CreateAsync(BlockNode node, string name, CancellationToken cancellationToken = default)
        => ImageOf(node).CreateSnapshotAsync(name, cancellationToken);

    /// <summary>Makes the disk what it was when the snapshot was taken, its size included. What was written since is gone, unless another snapshot keeps it.</summary>
    /// <param name="node">The image; filters on top are looked through.</param>
    /// <param name="idOrName">Which.</param>
    /// <param name="cancellationToken">Honoured until the change is made.</param>
    /// <exception cref="BlockLayerException">NotFound, and as for creating; Conflict too when the size would change and a parent does not share that.</exception>
    public static ValueTask ApplyAsync(BlockNode node, string idOrName, CancellationToken cancellationToken = default)
        => ImageOf(node).ApplySnapshotAsync(idOrName, cancellationToken);

    /// <summary>Lets a snapshot go, and gives the room that only it used back to the file system.</summary>
    /// <param name="node">The image; filters on top are looked through.</param>
    /// <param name="idOrName">Which.</param>
    /// <param name="cancellationToken">Honoured until the change is made.</param>
    /// <exception cref="BlockLayerException">NotFound, and as for creating.</exception>
    public static ValueTask DeleteAsync(BlockNode node, string idOrName, CancellationToken cancellationToken = default)
        => ImageOf(node).DeleteSnapshotAsync(idOrName, cancellationToken);

    private static ISnapshotImage ImageOf(BlockNode node)
    {
        BlockNode image = node.SkipFilters();
        return image as ISnapshotImage
            ?? throw new BlockLayerException(BlockErrorKind.Unsupported, $"Format {image.DriverName} has no internal snapshots.") { NodeName = image.NodeName, Path = image.Path };
    }
}
