using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qed;

// Growing. What becomes visible reads as zeroes before the new size is durable, whatever the backing file or old table entries hold there.
internal sealed partial class QedNode
{
    private protected override async ValueTask ResizeCoreAsync(long length, ResizeOptions options, CancellationToken cancellationToken)
    {
        ThrowIfCannotResizeTo(length);
        if (options.Preallocation != Preallocation.Off)
        {
            throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' is a QED image, which cannot be preallocated.");
        }

        long old = Length;
        if (length == old)
        {
            return;
        }

        cancellationToken.ThrowIfCancellationRequested();
        await _tables.ExtendAsync(length, CancellationToken.None).ConfigureAwait(false);
        await ZeroNewlyVisibleAsync(old, length).ConfigureAwait(false);
        await _writer!.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        await _header.UpdateAsync(header => header with { ImageSize = (ulong)length }).ConfigureAwait(false);
        SetLength(length);
    }

    private void ThrowIfCannotResizeTo(long length)
    {
        if (length < Length)
        {
            throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' is a QED image and can only grow: {Length} bytes cannot become {length}.");
        }

        long maximum = _geometry.MaxImageSize;
        if (length % QedLimits.SectorSize != 0 || length > maximum)
        {
            throw Error(
                BlockErrorKind.OutOfRange,
                $"A length of {length} bytes cannot be recorded in '{NodeName}': it takes multiples of {QedLimits.SectorSize} up to {maximum}.");
        }
    }

    private async ValueTask ZeroNewlyVisibleAsync(long old, long length)
    {
        // A recorded backing file that was not opened may have any length.
        long backingEnd = BackingEdge is { } backing ? backing.Child.Length : BackingReference is null ? 0 : long.MaxValue;
        long end = Alignment.RoundUp(length, _geometry.ClusterSize);
        for (long at = old; at < end;)
        {
            ClusterMapping mapping = await _tables.LookupAsync(at, end - at, CancellationToken.None).ConfigureAwait(false);
            long runEnd = at + mapping.Length;
            if (mapping.Kind == ClusterKind.Unallocated)
            {
                runEnd = Math.Min(runEnd, Math.Max(at, Alignment.RoundUp(Math.Min(backingEnd, length), _geometry.ClusterSize)));
            }

            if (mapping.Kind != ClusterKind.Zero && runEnd > at)
            {
                await ZeroAsync(new ByteRange(at, runEnd - at), ZeroFlags.MayUnmap, CancellationToken.None).ConfigureAwait(false);
            }

            at += mapping.Length;
        }
    }
}
