using System.Runtime.CompilerServices;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qed;

/// <summary>Some entries of a table as they are on disk, in host order. Holes of the file are skipped: a sparse table costs what is in it.</summary>
/// <param name="At">Byte position of the first entry.</param>
/// <param name="Entries">Valid until the next chunk is asked for.</param>
internal readonly record struct TableChunk(HostOffset At, ulong[] Entries)
{
    private const int MaxLength = 256 << 10; // bytes

    /// <summary>Byte position of an entry of the chunk.</summary>
    internal long EntryAt(int index) => At.Value + ((long)index * L2Entry.Size);

    /// <summary>Reads a table piece by piece.</summary>
    /// <param name="file">The image file.</param>
    /// <param name="table">Where the table starts; it lies inside the file.</param>
    /// <param name="geometry">The image's.</param>
    /// <param name="cancellationToken">Honoured between pieces.</param>
    internal static async IAsyncEnumerable<TableChunk> ReadTableAsync(
        BlockEdge file,
        HostOffset table,
        QedGeometry geometry,
        [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        int chunk = (int)Math.Min(geometry.TableLength, MaxLength);
        ulong[] entries = new ulong[chunk / L2Entry.Size];
        using PooledBuffer bytes = file.Parent.Environment.Buffers.Rent(chunk);
        long end = table.Value + geometry.TableLength;
        for (long at = table.Value; at < end;)
        {
            await file.ReadAsync(at, bytes.Memory, cancellationToken).ConfigureAwait(false);
            if (ZeroBytes.IsAllZero(bytes.Span))
            {
                // Only now: a full table would pay for the question and learn nothing.
                BlockStatus status = await file.GetStatusAsync(at, end - at, StatusDepth.Node, cancellationToken).ConfigureAwait(false);
                at += Math.Max(chunk, status.IsZero ? Alignment.RoundDown(status.Length, chunk) : 0);
                continue;
            }

            TableSector.Decode(bytes.Span, entries);
            yield return new TableChunk(new HostOffset(at), entries);
            at += chunk;
        }
    }

    /// <summary>Writes the sectors of the table that hold these entries, as they are here now. Not durable before a flush.</summary>
    /// <param name="file">The image file.</param>
    /// <param name="changed">Ascending indices of entries.</param>
    internal async ValueTask WriteSectorsAsync(BlockEdge file, IReadOnlyList<int> changed)
    {
        byte[] sector = new byte[QedLimits.SectorSize];
        int written = -1;
        foreach (int index in changed)
        {
            int first = (int)Alignment.RoundDown(index, TableSector.Entries);
            if (first != written)
            {
                TableSector.Encode(Entries.AsSpan(first, TableSector.Entries), sector);
                await file.WriteAsync(EntryAt(first), sector, CancellationToken.None).ConfigureAwait(false);
                written = first;
            }
        }
    }
}
