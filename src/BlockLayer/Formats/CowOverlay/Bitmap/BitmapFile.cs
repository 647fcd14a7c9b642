using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.CowOverlay;

/// <summary>Where the bitmap lies in the add-cow file: behind the header area, rounded up to whole clusters.</summary>
internal sealed class BitmapFile(BlockEdge file, CowOverlayHeader header)
{
    private const int LoadLength = 16 * AllocationBitmap.PageLength;

    /// <summary>Clusters of a disk of <paramref name="length"/> bytes.</summary>
    internal long ClustersOf(long length) => Alignment.DivideRoundUp(length, header.ClusterSize);

    /// <summary>Where the bitmap of a disk ends in the file, in bytes.</summary>
    internal long EndFor(long length) => EndFor(header, length);

    /// <summary>As <see cref="EndFor(long)"/>, before there is a file.</summary>
    internal static long EndFor(CowOverlayHeader header, long length)
        => header.HeaderSize
            + Alignment.RoundUp(AllocationBitmap.BytesFor(Alignment.DivideRoundUp(length, header.ClusterSize)), header.ClusterSize);

    /// <exception cref="BlockLayerException">Unsupported: the bitmap would not fit in memory.</exception>
    internal void ThrowIfTooLarge(long length)
    {
        long bytes = AllocationBitmap.BytesFor(ClustersOf(length));
        if (bytes > CowOverlayLimits.MaxBitmapLength)
        {
            throw new BlockLayerException(
                BlockErrorKind.Unsupported,
                $"A disk of {length} bytes with clusters of {header.ClusterSize} takes a bitmap of {bytes} bytes; "
                + $"at most {CowOverlayLimits.MaxBitmapLength} are kept. Larger clusters make it shorter.");
        }
    }

    /// <summary>Reads the bitmap of a disk of <paramref name="length"/> bytes; holes are not read.</summary>
    /// <returns>The bitmap, and how many bits past the end of the disk are set in the file.</returns>
    /// <exception cref="BlockLayerException">Corrupt: the file ends too early. Unsupported: too large. Io.</exception>
    internal async ValueTask<(AllocationBitmap Bitmap, long BitsPastEnd)> LoadAsync(long length, CancellationToken cancellationToken)
    {
        ThrowIfTooLarge(length);
        long clusters = ClustersOf(length);
        long end = header.HeaderSize + AllocationBitmap.BytesFor(clusters);
        if (file.Child.Length < end)
        {
            throw ImageFormatException.Corrupt(
                "bitmap",
                file.Child.Length,
                $"The file ends at byte {file.Child.Length}, inside the bitmap, which ends at {end} for the {length} bytes of the image file: "
                + "one of the two files was cut or is not the one it was.");
        }

        var bitmap = new AllocationBitmap(clusters);
        long past = 0;
        using PooledBuffer buffer = file.Parent.Environment.Buffers.Rent(LoadLength);
        for (long at = header.HeaderSize; at < end;)
        {
            BlockStatus status = await file.GetStatusAsync(at, end - at, StatusDepth.Node, cancellationToken).ConfigureAwait(false);
            long runEnd = at + status.Length;
            for (at = status.IsZero ? runEnd : at; at < runEnd;)
            {
                // Whole pages, although the run may begin or end inside one.
                long start = header.HeaderSize + Alignment.RoundDown(at - header.HeaderSize, AllocationBitmap.PageLength);
                int count = (int)Math.Min(LoadLength, end - start);
                await file.ReadAsync(start, buffer.Memory[..count], cancellationToken).ConfigureAwait(false);
                past += LoadPages(bitmap, start, buffer.Span[..count]);
                at = start + count;
            }
        }

        return (bitmap, past);
    }

    /// <summary>Writes one page.</summary>
    internal ValueTask WriteAsync(BitmapPage page)
        => file.WriteAsync(header.HeaderSize + ((long)page.Index * AllocationBitmap.PageLength), page.Bytes, CancellationToken.None);

    /// <summary>
    /// Makes room for the bitmap of a longer disk: zeroes behind the page in which the present one ends, durable on return. Nobody looks there until the disk is
    /// that long.
    /// </summary>
    internal async ValueTask ExtendAsync(long oldLength, long newLength)
    {
        long from = header.HeaderSize + Alignment.RoundUp(AllocationBitmap.BytesFor(ClustersOf(oldLength)), AllocationBitmap.PageLength);
        long end = EndFor(newLength);
        if (end > from)
        {
            await file.WriteZeroesAsync(from, end - from, ZeroFlags.MayUnmap, CancellationToken.None).ConfigureAwait(false);
        }

        await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
    }

    private long LoadPages(AllocationBitmap bitmap, long start, ReadOnlySpan<byte> bytes)
    {
        long past = 0;
        for (int page = (int)((start - header.HeaderSize) / AllocationBitmap.PageLength); !bytes.IsEmpty; page++)
        {
            ReadOnlySpan<byte> one = bytes[..Math.Min(bytes.Length, AllocationBitmap.PageLength)];
            past += bitmap.Load(page, one);
            bytes = bytes[one.Length..];
        }

        return past;
    }
}
