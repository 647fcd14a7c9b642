using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

// Consistency: a check of what is on disk, at any time.
internal sealed partial class Qcow2Node
{
    /// <inheritdoc/>
    /// <remarks>Runs drained; what is in memory is brought to disk first, so that clusters just released do not count as leaked.</remarks>
    public async ValueTask<ImageCheckReport> CheckAsync(IProgress<ByteProgress>? progress, CancellationToken cancellationToken)
    {
        using GraphChange change = await GraphChange.BeginAsync(this, cancellationToken).ConfigureAwait(false);
        await SettleAsync().ConfigureAwait(false);
        return await Qcow2Checker.CheckAsync(new EdgeMetadataReader(_file), Header, progress, cancellationToken).ConfigureAwait(false);
    }
}
