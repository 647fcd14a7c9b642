using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

// Writes: in place where the host cluster is ours alone, else
//
//   lookup -> plan -> record          under the allocation lock
//   data, with what surrounds it      without it
//   publish                           under it
internal sealed partial class Qcow2Node
{
    private enum WriteIntent
    {
        /// <summary>A guest's write: it replaces whatever is there.</summary>
        Replace,

        /// <summary>A copy from below: it fills only what is not allocated.</summary>
        Populate,
    }

    private protected override ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        var at = new GuestOffset(offset);
        if ((flags & WriteFlags.Compressed) != 0)
        {
            return WriteCompressedAsync(at, buffer, cancellationToken);
        }

        return _isPrepared
            && _tables.TryGet(at.Cluster(_geometry), out L2Slice? slice)
            && slice.LookupWritable(at, buffer.Length, _guard.Generation, out HostOffset host) == buffer.Length
                ? _data.WriteAsync(host, at, buffer, cancellationToken)
                : WriteSlowAsync(at, buffer, cancellationToken);
    }

    private async ValueTask WriteSlowAsync(GuestOffset at, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        while (!buffer.IsEmpty)
        {
            await PrepareToWriteAsync().ConfigureAwait(false);
            int written = await WriteInPlaceAsync(at, buffer, cancellationToken).ConfigureAwait(false);
            if (written == 0)
            {
                written = await WriteNewAsync(at, buffer, WriteIntent.Replace, cancellationToken).ConfigureAwait(false);
            }

            buffer = buffer[written..];
            at = at.Plus(written);
            if (written > 0)
            {
                cancellationToken = CancellationToken.None; // bytes were submitted: the request runs to its end
            }
        }
    }

    /// <summary>Overwrites the run that starts here, if it may be overwritten. Returns how many bytes that were.</summary>
    private async ValueTask<int> WriteInPlaceAsync(GuestOffset at, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        L2Slice? slice = await _tables.LoadAsync(at.Cluster(_geometry)).ConfigureAwait(false);
        if (slice is null)
        {
            return 0;
        }

        int length = slice.LookupWritable(at, buffer.Length, _guard.Generation, out HostOffset host);
        if (length > 0)
        {
            await _data.WriteAsync(host, at, buffer[..length], cancellationToken).ConfigureAwait(false);
        }

        return length;
    }

    /// <summary>Writes the start of a buffer to new clusters. Returns how many bytes that were; 0 when the caller has to look again.</summary>
    private async ValueTask<int> WriteNewAsync(GuestOffset at, ReadOnlyMemory<byte> buffer, WriteIntent intent, CancellationToken cancellationToken)
    {
        if (await PlanAsync(() => PlanLockedAsync(at, buffer.Length, intent), cancellationToken).ConfigureAwait(false) is not { } allocation)
        {
            return 0;
        }

        int length = (int)Math.Min(buffer.Length, allocation.FillEnd.Value - at.Value);
        try
        {
            await FillAsync(allocation, at, buffer[..length], cancellationToken).ConfigureAwait(false);
        }
        catch (Exception error)
        {
            if (await AbandonAsync(allocation, error).ConfigureAwait(false))
            {
                return 0;
            }

            throw;
        }

        await PublishAsync(allocation, static (_, host) => L2Entry.ForData(host)).ConfigureAwait(false);
        return length;
    }
}
