using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qed;

/// <summary>
/// Clears table entries that cannot be followed, durably. Clearing removes references and adds none, so a crash in between leaves fewer of them and nothing
/// new.
/// </summary>
internal sealed class QedRepairer(BlockEdge file, QedHeader header)
{
    /// <summary>Checks the image and clears as it goes.</summary>
    /// <returns>What the check found before the repair.</returns>
    /// <exception cref="Errors.BlockLayerException">Io, NoSpace.</exception>
    internal async ValueTask<QedCheckResult> RepairAsync()
    {
        var checker = new QedChecker(file, header) { OnBadEntries = ClearAsync };
        QedCheckResult found = await checker.CheckAsync(CancellationToken.None).ConfigureAwait(false);
        await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        return found;
    }

    private async ValueTask ClearAsync(TableChunk chunk, IReadOnlyList<int> bad)
    {
        foreach (int index in bad)
        {
            chunk.Entries[index] = 0;
        }

        byte[] sector = new byte[QedLimits.SectorSize];
        int written = -1;
        foreach (int index in bad)
        {
            int first = (int)Alignment.RoundDown(index, TableSector.Entries);
            if (first != written)
            {
                TableSector.Encode(chunk.Entries.AsSpan(first, TableSector.Entries), sector);
                await file.WriteAsync(chunk.EntryAt(first), sector, CancellationToken.None).ConfigureAwait(false);
                written = first;
            }
        }
    }
}
