using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

// Consistency: a check of what is on disk, and a repair of it, at any time.
internal sealed partial class Qcow2Node
{
    /// <inheritdoc/>
    /// <remarks>Runs drained; what is in memory is brought to disk first, so that clusters just released do not count as leaked.</remarks>
    public async ValueTask<ImageCheckReport> CheckAsync(IProgress<ByteProgress>? progress, CancellationToken cancellationToken)
    {
        using GraphChange change = await BeginChangeAsync(cancellationToken).ConfigureAwait(false);
        await SettleAsync().ConfigureAwait(false);
        return await Qcow2Checker.CheckAsync(new EdgeMetadataReader(_file), Header, progress, cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    /// <remarks>Runs drained; the tables are read anew afterwards.</remarks>
    public async ValueTask<ImageRepairReport> RepairAsync(RepairMode mode, IProgress<ByteProgress>? progress, CancellationToken cancellationToken)
    {
        if (!_allowsRepair)
        {
            // Whoever uses an image has part of it in memory: bitmaps that are written by and by, tables in the making.
            throw Error(BlockErrorKind.ReadOnly, $"'{NodeName}' is not open for a repair; open it for writing and for that purpose.");
        }

        using GraphChange change = await BeginChangeAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            return await new Qcow2Repairer(_file, _data, _geometry, _header).RepairAsync(mode, progress, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            LoadedImage image = await LoadedImage.ReadAsync(File, NodeAccess.ReadWrite, OpenPurpose.Repair, CancellationToken.None).ConfigureAwait(false);
            Adopt(image);
            TakeUpBitmaps(image);
        }
    }
}
