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
        using GraphChange change = await GraphChange.BeginAsync(this, cancellationToken).ConfigureAwait(false);
        await FlushCoreAsync(cancellationToken).ConfigureAwait(false);
        QedCheckResult found = await new QedChecker(_file, Header) { Progress = progress }.CheckAsync(cancellationToken).ConfigureAwait(false);
        return found.Report;
    }

    /// <summary>
    /// Clears offsets that cannot be followed: those clusters are left to the backing file from now on. Clusters with two owners stay as they are, because
    /// nobody can say whose they are, and so do leaks. Runs drained.
    /// </summary>
    /// <returns>What was found; its bad offsets are gone.</returns>
    /// <exception cref="BlockLayerException">ReadOnly, Io.</exception>
    internal async ValueTask<QedCheckResult> RepairAsync(CancellationToken cancellationToken)
    {
        if (IsReadOnly)
        {
            throw Error(BlockErrorKind.ReadOnly, $"'{NodeName}' is open read-only and cannot be repaired.");
        }

        using GraphChange change = await GraphChange.BeginAsync(this, cancellationToken).ConfigureAwait(false);
        await FlushCoreAsync(cancellationToken).ConfigureAwait(false);
        await _header.ClearAutoclearAsync().ConfigureAwait(false);
        QedCheckResult found = await new QedRepairer(_file, Header).RepairAsync().ConfigureAwait(false);
        await _needCheck!.DisposeAsync().ConfigureAwait(false);
        await LoadTablesAsync(CancellationToken.None).ConfigureAwait(false);
        return found;
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
            await new QedRepairer(_file, Header).RepairAsync().ConfigureAwait(false);
        }
    }
}
