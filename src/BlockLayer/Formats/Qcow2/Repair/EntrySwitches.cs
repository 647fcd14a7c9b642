using System.Buffers.Binary;
using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

/// <summary>Words of tables that are to lead to copies once these are durable.</summary>
internal sealed class EntrySwitches(BlockEdge file)
{
    private readonly SortedDictionary<long, ulong> _words = [];

    /// <summary>How many there are.</summary>
    public int Count => _words.Count;

    /// <summary>Notes that the word at a position gets a value.</summary>
    public void Add(HostOffset at, ulong value) => _words[at.Value] = value;

    /// <summary>Makes the copies durable, then writes the words, and makes those durable. Words do not depend on each other.</summary>
    public async ValueTask CarryOutAsync()
    {
        await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        byte[] sector = new byte[Qcow2Limits.SectorLength];
        long loaded = -1;
        foreach ((long at, ulong value) in _words)
        {
            long start = at & ~(Qcow2Limits.SectorLength - 1L);
            if (start != loaded)
            {
                await StoreAsync(loaded, sector).ConfigureAwait(false);
                await file.ReadPaddedAsync(start, sector, CancellationToken.None).ConfigureAwait(false);
                loaded = start;
            }

            BinaryPrimitives.WriteUInt64BigEndian(sector.AsSpan((int)(at - start)), value);
        }

        await StoreAsync(loaded, sector).ConfigureAwait(false);
        await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
    }

    private ValueTask StoreAsync(long at, byte[] sector)
        => at < 0 ? ValueTask.CompletedTask : file.WriteAsync(at, sector, CancellationToken.None);
}
