using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qed;

/// <summary>
/// Repairs an image in steps that are each durable before the next, and each leave leaks at worst when they are cut off. Nobody uses the image meanwhile.
/// </summary>
/// <remarks>
/// <code>
///   offsets that lead nowhere cleared ── copies for clusters with several owners ── data moved out of the end, file cut ── NEED_CHECK cleared
/// </code>
/// What cannot be followed is left to the backing file: nobody could read it. With <see cref="RepairMode.Leaks"/> only the unused end of the file is cut off.
/// </remarks>
internal sealed class QedRepairer(BlockEdge file, HeaderSector header)
{
    private const int Parts = 3; // check, repair, check

    /// <summary>Copies of tables may have offsets that lead nowhere; what is left after so many rounds is left.</summary>
    private const int MaxRounds = 4;

    /// <summary>Checks, repairs what was found and checks again.</summary>
    /// <exception cref="Errors.BlockLayerException">Io, NoSpace.</exception>
    internal async ValueTask<ImageRepairReport> RepairAsync(RepairMode mode, IProgress<ByteProgress>? progress, CancellationToken cancellationToken)
    {
        PartialProgress? told = PartialProgress.Of(progress, Parts);
        QedCheckResult before = await CheckAsync(told, cancellationToken).ConfigureAwait(false);
        cancellationToken.ThrowIfCancellationRequested();
        await header.ClearAutoclearAsync().ConfigureAwait(false);
        List<string> repairs = [];
        if (mode == RepairMode.All)
        {
            await RepairTablesAsync(before, repairs).ConfigureAwait(false);
        }

        told?.Next();
        if (await new QedCompactor(file, header.Current).RunAsync(mode).ConfigureAwait(false) is { Length: > 0 } cut)
        {
            repairs.Add(cut);
        }

        told?.Next();
        QedCheckResult after = await CheckAsync(told, CancellationToken.None).ConfigureAwait(false);
        if (after.Report is { Corruptions: 0, CheckErrors: 0 } && header.Current.NeedsCheck)
        {
            await header.UpdateAsync(static changed => changed with { Features = changed.Features & ~QedFeatures.NeedCheck }).ConfigureAwait(false);
            repairs.Add("The image is no longer marked as one that was not closed cleanly.");
        }

        return new ImageRepairReport { Before = before.Report, After = after.Report, Repairs = repairs };
    }

    /// <summary>Clears entries that cannot be followed, durably. That removes references and adds none, so a crash in between leaves fewer of them and nothing new.</summary>
    internal static async ValueTask<long> ClearBadOffsetsAsync(BlockEdge file, QedHeader header)
    {
        var checker = new QedChecker(file, header) { OnBadEntries = ClearAsync };
        QedCheckResult found = await checker.CheckAsync(CancellationToken.None).ConfigureAwait(false);
        await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        return found.BadOffsets;

        ValueTask ClearAsync(TableChunk chunk, IReadOnlyList<int> bad)
        {
            foreach (int index in bad)
            {
                chunk.Entries[index] = 0;
            }

            return chunk.WriteSectorsAsync(file, bad);
        }
    }

    private async ValueTask RepairTablesAsync(QedCheckResult found, List<string> repairs)
    {
        for (int round = 0; round < MaxRounds && found.BadOffsets + found.SharedClusters > 0; round++)
        {
            if (await ClearBadOffsetsAsync(file, header.Current).ConfigureAwait(false) is > 0 and var cleared)
            {
                repairs.Add($"{cleared} table entries that led nowhere were cleared.");
            }

            if (await new QedSeparator(file, header.Current).RunAsync().ConfigureAwait(false) is > 0 and var copies)
            {
                repairs.Add($"{copies} clusters or tables that had several owners were copied.");
            }

            found = await CheckAsync(progress: null, CancellationToken.None).ConfigureAwait(false);
        }
    }

    private ValueTask<QedCheckResult> CheckAsync(IProgress<ByteProgress>? progress, CancellationToken cancellationToken)
        => new QedChecker(file, header.Current) { Progress = progress }.CheckAsync(cancellationToken);
}
