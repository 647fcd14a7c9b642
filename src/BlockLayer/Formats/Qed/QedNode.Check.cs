using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qed;

// Consistency: a check at any time, a repair on request, and the one that an image gets which was not closed cleanly.
internal sealed partial class QedNode
{
    /// <inheritdoc/>
    /// <remarks>Runs drained; what is in memory is flushed first.</remarks>
    public async ValueTask<ImageCheckReport> CheckAsync(IProgress<ByteProgress>? progress, CancellationToken cancellationToken)
    {
        using GraphChange change = await BeginChangeAsync(cancellationToken).ConfigureAwait(false);
        await FlushCoreAsync(cancellationToken).ConfigureAwait(false);
        QedCheckResult found = await new QedChecker(_file, Header) { Progress = progress }.CheckAsync(cancellationToken).ConfigureAwait(false);
        return found.Report;
    }

    /// <inheritdoc/>
    /// <remarks>Runs drained; the tables are read anew afterwards.</remarks>
    public async ValueTask<ImageRepairReport> RepairAsync(RepairMode mode, IProgress<ByteProgress>? progress, CancellationToken cancellationToken)
    {
        if (!_allowsRepair)
        {
            throw Error(BlockErrorKind.ReadOnly, $"'{NodeName}' is not open for a repair; open it for writing and for that purpose.");
        }

        using GraphChange change = await BeginChangeAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            return await new QedRepairer(_file, _header).RepairAsync(mode, progress, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            await LoadTablesAsync(CancellationToken.None).ConfigureAwait(false);
        }
    }

    // The order of writes leaves leaks behind a crash, at worst offsets past the end of the file where an older program did not keep it. Anything else is
    // damage that allocating would make worse.
    private async ValueTask RepairAfterCrashAsync(CancellationToken cancellationToken)
    {
        QedCheckResult found = await new QedChecker(_file, Header).CheckAsync(cancellationToken).ConfigureAwait(false);
        if (found.SharedClusters > 0)
        {
            throw ImageFormatException.Corrupt(
                "features",
                at: 16,
                $"'{NodeName}' was not closed cleanly, and {found.SharedClusters} clusters have more than one owner; it can be opened read-only.");
        }

        if (found.BadOffsets > 0)
        {
            await _header.ClearAutoclearAsync().ConfigureAwait(false);
            await QedRepairer.ClearBadOffsetsAsync(_file, Header).ConfigureAwait(false);
        }
    }
}
