using BlockLayer.Requests;

namespace BlockLayer.Graph;

/// <summary>A format node that stores dirty bitmaps with its image. Every change is durable when the call returns, and all or nothing when it is cut short.</summary>
internal interface IBitmapImage
{
    /// <summary>The bitmaps, from memory.</summary>
    /// <exception cref="Errors.BlockLayerException">Corrupt: the image has bitmaps, but they cannot be located.</exception>
    IReadOnlyList<ImageBitmap> ListBitmaps();

    /// <summary>A copy of the bits of a bitmap as they are now, as a moment without requests in flight shows them.</summary>
    /// <exception cref="Errors.BlockLayerException">NotFound; Corrupt: the bitmap is inconsistent or damaged; Unsupported: of a kind not known here.</exception>
    ValueTask<DirtyBitmap> ReadBitmapAsync(string name, CancellationToken cancellationToken);

    /// <summary>Adds a bitmap with no bit set.</summary>
    /// <param name="name">Not used yet; 1 to 1023 bytes of UTF-8.</param>
    /// <param name="granularity">Bytes a bit stands for: a power of two from 512 to 2^31.</param>
    /// <param name="isEnabled">Whether writes are marked from now on.</param>
    /// <param name="cancellationToken">Honoured until the first change.</param>
    /// <exception cref="ArgumentException">The name or the granularity is none.</exception>
    /// <exception cref="Errors.BlockLayerException">ReadOnly, Unsupported (also: the name is taken), NoSpace, Io.</exception>
    ValueTask AddBitmapAsync(string name, long granularity, bool isEnabled, CancellationToken cancellationToken);

    /// <summary>Removes a bitmap, whatever state it is in.</summary>
    /// <exception cref="Errors.BlockLayerException">NotFound, ReadOnly, NoSpace, Io.</exception>
    ValueTask RemoveBitmapAsync(string name, CancellationToken cancellationToken);

    /// <summary>Clears every bit.</summary>
    /// <exception cref="Errors.BlockLayerException">NotFound, ReadOnly, Corrupt, Unsupported, NoSpace, Io.</exception>
    ValueTask ClearBitmapAsync(string name, CancellationToken cancellationToken);

    /// <summary>Begins to mark writes in a bitmap, or ends it.</summary>
    /// <exception cref="Errors.BlockLayerException">NotFound, ReadOnly, Corrupt, Unsupported, NoSpace, Io.</exception>
    ValueTask EnableBitmapAsync(string name, bool isEnabled, CancellationToken cancellationToken);

    /// <summary>Sets what is set in other bits for a disk of the same length; granularities may differ.</summary>
    /// <exception cref="Errors.BlockLayerException">NotFound, ReadOnly, Corrupt, Unsupported, NoSpace, Io; Unsupported: the lengths differ.</exception>
    ValueTask MergeBitmapAsync(string name, DirtyBitmap source, CancellationToken cancellationToken);

    /// <summary>Makes a bitmap show what other bits show when everything else is held back, and nothing else; also one that somebody holds.</summary>
    /// <exception cref="Errors.BlockLayerException">NotFound, ReadOnly, Corrupt, Unsupported, NoSpace, Io.</exception>
    ValueTask ReplaceBitmapAsync(string name, DirtyBitmap bits, CancellationToken cancellationToken);

    /// <summary>Keeps a bitmap from being changed by anything but writes and <see cref="ReplaceBitmapAsync"/> until the result is disposed.</summary>
    /// <param name="name">A bitmap that can be used.</param>
    /// <param name="by">Who asks, for the message of whoever is refused.</param>
    /// <exception cref="Errors.BlockLayerException">NotFound, Corrupt, Unsupported; Conflict: somebody else holds it.</exception>
    IDisposable HoldBitmap(string name, string by);
}
