using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Images;

/// <summary>
/// The dirty bitmaps of one image for another of the same length. What stands in the way is found before anything is copied; the bitmaps are made when the content is there, so that
/// copying it is not marked in them.
/// </summary>
internal sealed class BitmapCopy
{
    private readonly List<ImageBitmap> _bitmaps = [];
    private readonly List<string> _skipped = [];

    private BitmapCopy()
    {
    }

    /// <summary>Names of bitmaps that cannot be used and are not copied.</summary>
    internal IReadOnlyList<string> Skipped => _skipped;

    /// <summary>Looks at the bitmaps of a source; none are wanted, none are looked at.</summary>
    /// <exception cref="BlockLayerException">Unsupported: the source stores none; Corrupt, Unsupported: one cannot be used, and all are wanted; Io.</exception>
    internal static async ValueTask<BitmapCopy> PrepareAsync(BlockNode source, ConvertBitmaps wanted, CancellationToken cancellationToken)
    {
        var copy = new BitmapCopy();
        if (wanted == ConvertBitmaps.None)
        {
            return copy;
        }

        BlockNode image = source.SkipFilters();
        IBitmapImage store = image as IBitmapImage
            ?? throw new BlockLayerException(BlockErrorKind.Unsupported, $"Format {image.DriverName} stores no bitmaps, so there are none to copy.") { Path = image.Path };
        foreach (ImageBitmap bitmap in store.ListBitmaps())
        {
            try
            {
                _ = await store.ReadBitmapAsync(bitmap.Name, cancellationToken).ConfigureAwait(false); // what its table leads to is known only now
                copy._bitmaps.Add(bitmap);
            }
            catch (BlockLayerException unusable) when (wanted == ConvertBitmaps.Usable && unusable.Kind is BlockErrorKind.Corrupt or BlockErrorKind.Unsupported)
            {
                copy._skipped.Add(bitmap.Name);
            }
        }

        return copy;
    }

    /// <summary>Judges a target that nothing was written to yet.</summary>
    /// <exception cref="BlockLayerException">Unsupported: its format stores no bitmaps, it has one of the names already, or another length.</exception>
    internal void ThrowIfCannotGoTo(BlockNode source, BlockNode target)
    {
        if (_bitmaps.Count == 0)
        {
            return;
        }

        string? obstacle = target.SkipFilters() is not IBitmapImage store ? $"Format {target.SkipFilters().DriverName} stores no bitmaps; qcow2 does."
            : target.Length != source.Length ? $"It has {target.Length} bytes, and the bitmaps of the source describe {source.Length}."
            : _bitmaps.Find(bitmap => store.ListBitmaps().Any(other => other.Name == bitmap.Name)) is { } taken ? $"It has a bitmap '{taken.Name}' already."
            : null;
        if (obstacle is not null)
        {
            throw new BlockLayerException(BlockErrorKind.Unsupported, obstacle) { Path = target.Path };
        }
    }

    /// <summary>Makes the bitmaps in the target: durable on return.</summary>
    internal async ValueTask CarryOutAsync(BlockNode source, BlockNode target, CancellationToken cancellationToken)
    {
        foreach (ImageBitmap bitmap in _bitmaps)
        {
            await ImageBitmaps.AddAsync(target, bitmap.Name, new NewBitmap { Granularity = bitmap.Granularity, State = BitmapState.Disabled }, cancellationToken).ConfigureAwait(false);
            await ImageBitmaps.MergeAsync(target, bitmap.Name, bitmap.Name, source, cancellationToken).ConfigureAwait(false);
            if (bitmap.IsEnabled)
            {
                await ImageBitmaps.EnableAsync(target, bitmap.Name, cancellationToken).ConfigureAwait(false);
            }
        }
    }
}
