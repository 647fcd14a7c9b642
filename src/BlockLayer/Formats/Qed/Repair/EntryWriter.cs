using BlockLayer.Graph;

namespace BlockLayer.Formats.Qed;

/// <summary>Writes single entries of tables, wherever they are, so that a crash leaves each old or new.</summary>
internal static class EntryWriter
{
    /// <summary>Writes the entries and makes them durable. What they lead to is durable already.</summary>
    /// <param name="file">The image file.</param>
    /// <param name="entries">Position of an entry in the file to what it is to hold, in file order.</param>
    internal static async ValueTask WriteAsync(BlockEdge file, SortedDictionary<long, ulong> entries)
    {
        byte[] sector = new byte[QedLimits.SectorSize];
        ulong[] words = new ulong[TableSector.Entries];
        foreach (IGrouping<long, KeyValuePair<long, ulong>> group in entries.GroupBy(static entry => entry.Key / QedLimits.SectorSize))
        {
            long at = group.Key * QedLimits.SectorSize;
            await file.ReadAsync(at, sector, CancellationToken.None).ConfigureAwait(false);
            TableSector.Decode(sector, words);
            foreach ((long position, ulong word) in group)
            {
                words[(position - at) / L2Entry.Size] = word;
            }

            TableSector.Encode(words, sector);
            await file.WriteAsync(at, sector, CancellationToken.None).ConfigureAwait(false);
        }

        await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
    }
}
