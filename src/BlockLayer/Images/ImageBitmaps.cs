using System.Runtime.CompilerServices;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.Primitives;
using BlockLayer.Requests;

namespace BlockLayer.Images;

/// <summary>
/// Dirty bitmaps that are stored with an image: which parts of the disk were written since the bitmap was added or cleared. For an incremental backup: add one,
/// copy everything, and later copy only what it shows.
/// </summary>
/// <remarks>
/// They work on an image whether guests use it or not; filters on top are looked through, and requests wait meanwhile. Every change is durable when the call
/// returns, and a crash during it leaves the old bitmaps or the new ones. While an image is written its enabled bitmaps are in use: a crash then makes them
/// inconsistent, and such a bitmap can only be removed. A change of a disk's bitmaps, while a snapshot is putting another image on top, is a <see cref="BlockErrorKind.Conflict"/>:
/// nothing has changed, and it can be asked for again.
/// </remarks>
public static class ImageBitmaps
{
    /// <summary>True when the image's format can store bitmaps.</summary>
    public static bool CanStore(BlockNode node) => node.SkipFilters() is IBitmapImage;

    /// <summary>The granularity a bitmap gets where nobody says one: a cluster, but no less than 4 KiB and no more than 64 KiB, as in QEMU.</summary>
    public static long DefaultGranularity(BlockNode node)
        => node.SkipFilters().Limits.ClusterSize is > 0 and int clusterSize ? Math.Clamp(clusterSize, 4 << 10, 64 << 10) : 64 << 10;

    /// <summary>The bitmaps of an image; none where the format stores none.</summary>
    /// <exception cref="BlockLayerException">Corrupt: the image has bitmaps, but they cannot be located.</exception>
    public static IReadOnlyList<ImageBitmap> List(BlockNode node) => (node.SkipFilters() as IBitmapImage)?.ListBitmaps() ?? [];

    /// <summary>The runs of the disk that a bitmap shows as written, as they are when the enumeration begins; ascending, none touches another.</summary>
    /// <exception cref="BlockLayerException">NotFound; Corrupt: the bitmap is inconsistent; Unsupported, Io.</exception>
    public static async IAsyncEnumerable<ByteRange> ReadAsync(BlockNode node, string name, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        DirtyBitmap bits = await Of(node).ReadBitmapAsync(name, cancellationToken).ConfigureAwait(false);
        foreach (ByteRange range in bits.DirtyRanges())
        {
            yield return range;
        }
    }

    /// <summary>Adds a bitmap that shows nothing as written.</summary>
    /// <param name="node">The image.</param>
    /// <param name="name">Not used yet; 1 to 1023 bytes of UTF-8.</param>
    /// <param name="options">How; null for an enabled one with <see cref="DefaultGranularity"/>.</param>
    /// <param name="cancellationToken">Honoured until the first change.</param>
    /// <exception cref="ArgumentException">The name or the granularity is none.</exception>
    /// <exception cref="BlockLayerException">ReadOnly, Unsupported (also: the name is taken), Corrupt, NoSpace, Io.</exception>
    public static ValueTask AddAsync(BlockNode node, string name, NewBitmap? options = null, CancellationToken cancellationToken = default)
        => ChangeAsync(node, image => image.AddBitmapAsync(name, options?.Granularity ?? DefaultGranularity(node), options?.State != BitmapState.Disabled, cancellationToken));

    /// <summary>Removes a bitmap, also one that cannot be used.</summary>
    /// <exception cref="BlockLayerException">NotFound, ReadOnly, Corrupt, NoSpace, Io.</exception>
    public static ValueTask RemoveAsync(BlockNode node, string name, CancellationToken cancellationToken = default)
        => ChangeAsync(node, image => image.RemoveBitmapAsync(name, cancellationToken));

    /// <summary>Makes a bitmap show nothing as written.</summary>
    /// <exception cref="BlockLayerException">NotFound, ReadOnly, Unsupported, Corrupt, NoSpace, Io.</exception>
    public static ValueTask ClearAsync(BlockNode node, string name, CancellationToken cancellationToken = default)
        => ChangeAsync(node, image => image.ClearBitmapAsync(name, cancellationToken));

    /// <summary>Begins to mark writes in a bitmap.</summary>
    /// <exception cref="BlockLayerException">NotFound, ReadOnly, Unsupported, Corrupt, NoSpace, Io.</exception>
    public static ValueTask EnableAsync(BlockNode node, string name, CancellationToken cancellationToken = default)
        => ChangeAsync(node, image => image.EnableBitmapAsync(name, isEnabled: true, cancellationToken));

    /// <summary>Leaves a bitmap as it is from now on, whatever is written.</summary>
    /// <exception cref="BlockLayerException">NotFound, ReadOnly, Unsupported, Corrupt, NoSpace, Io.</exception>
    public static ValueTask DisableAsync(BlockNode node, string name, CancellationToken cancellationToken = default)
        => Of(node).EnableBitmapAsync(name, isEnabled: false, cancellationToken);

    /// <summary>Makes a bitmap show also what another one shows. Their granularities may differ.</summary>
    /// <param name="node">The image.</param>
    /// <param name="target">The bitmap that is changed.</param>
    /// <param name="source">The bitmap that is taken in.</param>
    /// <param name="sourceNode">The image that has <paramref name="source"/>, a disk of the same length; null for the same image.</param>
    /// <param name="cancellationToken">Honoured until the first change.</param>
    /// <exception cref="BlockLayerException">NotFound, ReadOnly, Unsupported (also: the disks differ in length), Corrupt, NoSpace, Io.</exception>
    public static async ValueTask MergeAsync(
        BlockNode node,
        string target,
        string source,
        BlockNode? sourceNode = null,
        CancellationToken cancellationToken = default)
    {
        DirtyBitmap bits = await Of(sourceNode ?? node).ReadBitmapAsync(source, cancellationToken).ConfigureAwait(false);
        await ChangeAsync(node, image => image.MergeBitmapAsync(target, bits, cancellationToken)).ConfigureAwait(false);
    }

    // Misuse is told by the call itself, before there is anything to wait for.
    private static ValueTask ChangeAsync(BlockNode node, Func<IBitmapImage, ValueTask> change)
    {
        BlockNode image = node.SkipFilters();
        return EndAsync(change(Of(node)), node, image);
    }

    // An image that a snapshot made a backing file, just before it was the change's turn, is not one that was opened read-only.
    private static async ValueTask EndAsync(ValueTask change, BlockNode node, BlockNode image)
    {
        try
        {
            await change.ConfigureAwait(false);
        }
        catch (BlockLayerException error) when (error.Kind == BlockErrorKind.ReadOnly)
        {
            NewestImage.Require(node, image);
            throw;
        }
    }

    private static IBitmapImage Of(BlockNode node)
    {
        BlockNode image = node.SkipFilters();
        return image as IBitmapImage
            ?? throw new BlockLayerException(BlockErrorKind.Unsupported, $"Format {image.DriverName} stores no bitmaps; qcow2 does.") { Path = image.Path };
    }
}
