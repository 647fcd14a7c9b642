using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

/// <summary>Changes tables where they are. Only sectors that really change are written, so that what a crash leaves is, entry by entry, old or new.</summary>
internal sealed class TableRewriter(BlockEdge file)
{
    private const int PieceLength = 64 << 10; // a multiple of every entry's size

    /// <summary>Changes entries in memory; true when it changed any.</summary>
    /// <param name="bytes">A part of the table as it is on disk, whole entries.</param>
    /// <param name="at">Where the part is in the file.</param>
    internal delegate bool Change(Span<byte> bytes, HostOffset at);

    /// <summary>Reads a table piece by piece, lets it be changed and writes what changed. Not durable before a flush.</summary>
    /// <param name="start">Where the table is.</param>
    /// <param name="length">Its bytes, whole entries.</param>
    /// <param name="change">Called with one piece after the other.</param>
    /// <param name="cancellationToken">Honoured between pieces.</param>
    public async ValueTask RewriteAsync(HostOffset start, long length, Change change, CancellationToken cancellationToken)
    {
        if (start.Value >= file.Child.Length)
        {
            return;
        }

        byte[] old = new byte[Math.Min(PieceLength, length)];
        byte[] changed = new byte[old.Length];
        for (long done = 0; done < length; done += old.Length)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int count = (int)Math.Min(old.Length, length - done);
            HostOffset at = start.Plus(done);
            await file.ReadPaddedAsync(at.Value, old.AsMemory(0, count), cancellationToken).ConfigureAwait(false);
            old.AsSpan(0, count).CopyTo(changed);
            if (change(changed.AsSpan(0, count), at))
            {
                await WriteChangedAsync(at, old.AsMemory(0, count), changed.AsMemory(0, count)).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Writes the sectors in which two states of a part of the file differ.</summary>
    public async ValueTask WriteChangedAsync(HostOffset at, ReadOnlyMemory<byte> old, ReadOnlyMemory<byte> changed)
    {
        for (int first = 0; first < old.Length;)
        {
            int sector = LengthInSector(at.Plus(first), old.Length - first);
            if (old.Span.Slice(first, sector).SequenceEqual(changed.Span.Slice(first, sector)))
            {
                first += sector;
                continue;
            }

            int end = first + sector;
            while (end < old.Length && LengthInSector(at.Plus(end), old.Length - end) is var next
                && !old.Span.Slice(end, next).SequenceEqual(changed.Span.Slice(end, next)))
            {
                end += next;
            }

            await file.WriteAsync(at.Value + first, changed[first..end], CancellationToken.None).ConfigureAwait(false);
            first = end;
        }
    }

    private static int LengthInSector(HostOffset at, int left)
        => (int)Math.Min(left, Qcow2Limits.SectorLength - (at.Value & (Qcow2Limits.SectorLength - 1)));
}
