using System.Runtime.CompilerServices;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Images;

/// <summary>Tells where the bytes of a virtual disk are, run by run, as <c>qemu-img map</c> does.</summary>
public static class ImageMapper
{
    /// <summary>Lists the runs of a range in order, each as long as possible.</summary>
    /// <param name="top">The top image of a chain.</param>
    /// <param name="start">Guest offset in bytes, at most the length of the image.</param>
    /// <param name="length">Bytes; what lies past the end of the image is left out.</param>
    /// <param name="progress">Told after each question, in bytes of the range.</param>
    /// <param name="cancellationToken">Honoured between runs.</param>
    /// <exception cref="Errors.BlockLayerException">OutOfRange, Io, Corrupt.</exception>
    public static async IAsyncEnumerable<MapExtent> MapAsync(
        BlockNode top,
        long start = 0,
        long length = long.MaxValue,
        IProgress<ByteProgress>? progress = null,
        [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        long end = length > top.Length - start ? top.Length : start + length;
        MapExtent? pending = null;
        for (long offset = start; offset < end;)
        {
            MapExtent next = await LookAsync(top, offset, end - offset, cancellationToken).ConfigureAwait(false);
            offset += next.Length;
            progress?.Report(new ByteProgress(offset - start, end - start));
            if (pending is not { } current)
            {
                pending = next;
            }
            else if (current.Continues(next))
            {
                pending = current with { Length = current.Length + next.Length };
            }
            else
            {
                yield return current;
                pending = next;
            }
        }

        if (pending is { } last)
        {
            yield return last;
        }
    }

    // qemu-img stops at the first image that knows that a run is zero, and one over a shorter backing file knows; so the depth it shows there is
    // that of the image above. BackingChain names the shorter image instead, which is what a job needs, hence the own walk.
    private static async ValueTask<MapExtent> LookAsync(BlockNode top, long offset, long length, CancellationToken cancellationToken)
    {
        BlockNode image = top.SkipFilters();
        for (int depth = 0; ; depth++)
        {
            BlockStatus status = await image.GetStatusAsync(offset, length, StatusDepth.Node, cancellationToken).ConfigureAwait(false);
            length = status.Length;
            if (status.IsAllocated)
            {
                bool hasOffset = (status.Flags & StatusFlags.HostOffsetValid) != 0;
                return new MapExtent(offset, length)
                {
                    Depth = depth,
                    IsPresent = true,
                    IsZero = status.IsZero,
                    IsData = status.IsData,
                    IsCompressed = (status.Flags & StatusFlags.Compressed) != 0,
                    HostOffset = hasOffset ? status.HostOffset : null,
                    Path = hasOffset ? FileOf(image) : null,
                };
            }

            if (image.Backing?.SkipFilters() is not { } backing || offset >= backing.Length)
            {
                return new MapExtent(offset, length) { Depth = depth, IsZero = true };
            }

            length = Math.Min(length, backing.Length - offset);
            image = backing;
        }
    }

    private static string? FileOf(BlockNode image) => image.GetChild(EdgeRole.Data)?.Path ?? image.Path;
}
