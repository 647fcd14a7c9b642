using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Formats.CowOverlay;

// Everything the disk holds let go: bits first, then the room in the image file.
internal sealed partial class CowOverlayNode : IEmptiableImage
{
    /// <inheritdoc/>
    public void ThrowIfCannotMakeEmpty()
    {
        ThrowIfReadOnly("be emptied");
        if (IsAllAllocated)
        {
            throw Error(BlockErrorKind.Unsupported, $"All of '{NodeName}' is in its image file '{_header.ImageName}', which is the disk: it cannot be emptied.");
        }
    }

    /// <inheritdoc/>
    /// <remarks>
    /// <code>
    ///   everything ── sync ── record "not clean" ── sync ── bits clear ── sync ── room of the image file given back
    /// </code>
    /// A crash leaves any part of the bits, each with its data: room is given back only when no bit on disk leads there. What was not given back lies under clear bits, where
    /// nobody looks.
    /// </remarks>
    public async ValueTask MakeEmptyAsync(Action throwIfChanged, CancellationToken cancellationToken)
    {
        ThrowIfCannotMakeEmpty();
        using GraphChange change = await BeginUnclaimedChangeAsync("it can be emptied", cancellationToken).ConfigureAwait(false);
        throwIfChanged();
        await FlushCoreAsync(CancellationToken.None).ConfigureAwait(false);
        _bitmap!.Clear();
        await FlushCoreAsync(CancellationToken.None).ConfigureAwait(false);
        try
        {
            await _image.DiscardAsync(0, Length, CancellationToken.None).ConfigureAwait(false);
        }
        catch (BlockLayerException)
        {
            // A favour that was refused: the image is empty all the same.
        }
    }
}
