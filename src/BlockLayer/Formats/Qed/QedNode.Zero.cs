using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qed;

// Zeroes and discards. A cluster that holds data keeps its place: the file under it is zeroed or punched, the tables stay as they are.
internal sealed partial class QedNode
{
    private protected override ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
        => ZeroAsync(new ByteRange(offset, length), flags, cancellationToken);

    private protected override async ValueTask PopulateZeroesCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        await _header.ClearAutoclearAsync().ConfigureAwait(false);
        long end = offset + length;
        while (offset < end)
        {
            ClusterMapping mapping = await _tables.LookupAsync(offset, end - offset, cancellationToken).ConfigureAwait(false);
            offset += mapping.Kind == ClusterKind.Unallocated
                ? await MarkZeroAsync(new ByteRange(offset, mapping.Length), AllocationTarget.Unallocated, cancellationToken).ConfigureAwait(false)
                : mapping.Length;
        }
    }

    /// <summary>
    /// Gives back the room under clusters that hold data. Others are left: to say that nothing is allocated would bring the backing file's bytes back, and
    /// they take no room. So is a cluster whose allocation is in flight, which
    /// is left as the write makes it.
    /// </summary>
    private protected override async ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        await _header.ClearAutoclearAsync().ConfigureAwait(false);
        long end = offset + length;
        while (offset < end)
        {
            ClusterMapping mapping = await _tables.LookupAsync(offset, end - offset, cancellationToken).ConfigureAwait(false);
            if (mapping.IsData)
            {
                await _file.DiscardAsync(mapping.Host.Value, mapping.Length, cancellationToken).ConfigureAwait(false);
            }

            offset += mapping.Length;
        }
    }

    // The range may go past the end of the disk, up to the end of a cluster.
    private async ValueTask ZeroAsync(ByteRange range, ZeroFlags flags, CancellationToken cancellationToken)
    {
        await _header.ClearAutoclearAsync().ConfigureAwait(false);
        while (!range.IsEmpty)
        {
            ClusterMapping mapping = await _tables.LookupAsync(range.Offset, range.Length, cancellationToken).ConfigureAwait(false);
            long done = mapping.Length;
            if (mapping.IsData)
            {
                await _file.WriteZeroesAsync(mapping.Host.Value, done, flags, cancellationToken).ConfigureAwait(false);
            }
            else if (mapping.Kind == ClusterKind.Unallocated)
            {
                done = await ZeroUnallocatedAsync(range with { Length = done }, range.End, flags, cancellationToken).ConfigureAwait(false);
            }

            if (done > 0)
            {
                cancellationToken = CancellationToken.None; // something was submitted: the request runs to its end
            }

            range = new ByteRange(range.Offset + done, Math.Max(0, range.Length - done));
        }
    }

    /// <summary>Zeroes the start of <paramref name="run"/>, which is left to the backing file; the whole request ends at <paramref name="end"/>.</summary>
    /// <returns>How many bytes; 0 when the first cluster has to be looked up again.</returns>
    private async ValueTask<long> ZeroUnallocatedAsync(ByteRange run, long end, ZeroFlags flags, CancellationToken cancellationToken)
    {
        // The last cluster of the disk is whole when the request reaches the end of the disk.
        long wholeEnd = end >= Length ? Alignment.RoundUp(end, _geometry.ClusterSize) : Alignment.RoundDown(end, _geometry.ClusterSize);
        var cluster = new ByteRange(run.Offset, 1).RoundOut(_geometry.ClusterSize);
        bool isWhole = run.Offset == cluster.Offset && wholeEnd >= cluster.End;
        if (isWhole || ReadsAsZeroes(cluster))
        {
            long markEnd = isWhole ? Math.Min(wholeEnd, Alignment.RoundUp(run.End, _geometry.ClusterSize)) : cluster.End;
            var whole = new ByteRange(cluster.Offset, markEnd - cluster.Offset);
            long marked = await MarkZeroAsync(whole, AllocationTarget.WithoutData, cancellationToken).ConfigureAwait(false);
            return marked == 0 ? 0 : cluster.Offset + marked - run.Offset;
        }

        if ((flags & ZeroFlags.NoFallback) != 0)
        {
            throw Error(
                BlockErrorKind.Unsupported,
                $"'{NodeName}' keeps zeroes in whole clusters of {_geometry.ClusterSize} bytes; part of one cannot be zeroed without storing the rest.",
                run.Offset);
        }

        int length = (int)Math.Min(Math.Min(end, cluster.End) - run.Offset, ZeroBytes.Block.Length);
        await WriteSlowAsync(run.Offset, ZeroBytes.Block[..length], cancellationToken).ConfigureAwait(false);
        return length;
    }

    /// <summary>Marks the clusters of a range, from its start, as zeroes.</summary>
    /// <returns>How many bytes of whole clusters; 0 when the first cluster has to be looked up again.</returns>
    private async ValueTask<long> MarkZeroAsync(ByteRange range, AllocationTarget target, CancellationToken cancellationToken)
    {
        await _writer!.FlushIfCrowdedAsync(cancellationToken).ConfigureAwait(false);
        using NeedCheck.Inside inside = await _needCheck!.EnterAsync(cancellationToken).ConfigureAwait(false);
        int limit = (int)Math.Min(Alignment.DivideRoundUp(range.Length, _geometry.ClusterSize), _geometry.SliceEntries);
        int count = await _allocations!.MarkZeroAsync(GuestCluster.At(range.Offset, _geometry), limit, target, cancellationToken).ConfigureAwait(false);
        return (long)count << _geometry.ClusterBits;
    }

    // True when an unallocated cluster has nothing under it: then marking all of it changes no other byte.
    private bool ReadsAsZeroes(ByteRange cluster) => BackingEdge is not { } backing || backing.Child.Length <= cluster.Offset;
}
