using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

/// <summary>The header of an open image: what it says now, and the only place that writes it.</summary>
/// <remarks>
/// Fixed fields lie in the first 512 bytes, which a disk writes whole: a change of any number of them is one write of that sector, durable before anything
/// relies on it. The caller sees to it that what the fields refer to is durable before, and that no two changes run at once.
/// </remarks>
internal sealed class HeaderStore(BlockEdge file, Qcow2Header header, byte[] firstCluster)
{
    private readonly byte[] _firstCluster = firstCluster; // as on disk; changed only by the one change that runs
    private Qcow2Header _current = header;
    private HeaderWrite? _uncertain; // the write that failed, if one did

    /// <summary>The header as it is on disk.</summary>
    internal Qcow2Header Current => Volatile.Read(ref _current);

    /// <summary>The first cluster as it is on disk, for planning a <see cref="HeaderChangePlan"/>.</summary>
    internal ReadOnlySpan<byte> FirstCluster => _firstCluster;

    /// <summary>True from a write that failed until <see cref="SettleAsync"/> or the next write has put the old bytes back. Asked while nobody changes anything.</summary>
    internal bool IsUncertain => _uncertain is not null;

    /// <summary>Changes fixed fields; durable on return.</summary>
    internal async ValueTask UpdateAsync(Func<Qcow2Header, Qcow2Header> change)
    {
        Qcow2Header next = change(Current);
        byte[] changed = [.. _firstCluster];
        next.WriteTo(changed);
        await WriteAsync(new HeaderWrite(new HostOffset(0), changed.AsMemory(0, Math.Min(Qcow2Limits.SectorLength, changed.Length)))).ConfigureAwait(false);
        Volatile.Write(ref _current, next);
    }

    /// <summary>
    /// Carries out planned writes, each durable before the next. A failure after the decisive one, while feature names are brought back, is none: they are optional, and whoever was told
    /// of a failure would go on with what the header does not say any more. The next flush settles the sector, or fails.
    /// </summary>
    internal async ValueTask CarryOutAsync(HeaderChangePlan plan)
    {
        for (int i = 0; i < plan.Writes.Count; i++)
        {
            try
            {
                await WriteAsync(plan.Writes[i]).ConfigureAwait(false);
            }
            catch (BlockLayerException) when (i >= plan.Decisive)
            {
                return;
            }

            Volatile.Write(ref _current, Qcow2Header.Parse(_firstCluster));
        }
    }

    /// <summary>
    /// After a write that failed the disk may hold the old bytes or the new ones, while the node goes on with the old: puts the old ones back, durably, before anything
    /// else is called durable.
    /// </summary>
    internal async ValueTask SettleAsync()
    {
        if (_uncertain is { } write)
        {
            await file.WriteAsync(write.Offset.Value, _firstCluster.AsMemory((int)write.Offset.Value, write.Bytes.Length), CancellationToken.None).ConfigureAwait(false);
            await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            _uncertain = null;
        }
    }

    private async ValueTask WriteAsync(HeaderWrite write)
    {
        await SettleAsync().ConfigureAwait(false);
        _uncertain = write;
        await file.WriteAsync(write.Offset.Value, write.Bytes, CancellationToken.None).ConfigureAwait(false);
        await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        write.Bytes.Span.CopyTo(_firstCluster.AsSpan((int)write.Offset.Value));
        _uncertain = null;
    }
}
