using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

// The name of the backing file in the header.
internal sealed partial class Qcow2Node
{
    /// <inheritdoc/>
    public override Graph.BackingReference? BackingReference
        => Header.BackingName is { } name ? new Graph.BackingReference(name, Header.BackingFormat) : null;

    internal override bool IsHeaderUncertain => _header.IsUncertain;

    internal override void ThrowIfCannotRecordBacking(Graph.BackingReference? reference) => _ = PlanBacking(reference);

    internal override async ValueTask RecordBackingAsync(Graph.BackingReference? reference, CancellationToken cancellationToken)
    {
        await PrepareToWriteAsync().ConfigureAwait(false);
        await _writeBack.RunAloneAsync(() => _header.CarryOutAsync(PlanBacking(reference))).ConfigureAwait(false);
    }

    private HeaderChangePlan PlanBacking(Graph.BackingReference? reference)
    {
        if (reference is not null && IsRawData)
        {
            throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' has a raw external data file, which holds the whole disk, and cannot have a backing file.");
        }

        BackingReference? target = reference is null ? null : new BackingReference(
            reference.Name,
            reference.Format ?? throw new ArgumentException($"The format of the backing file {reference} has to be recorded with its name."));
        BackingChangeRefusal refusal = BackingChangePlan.TryCreate(_header.FirstCluster, target, out HeaderChangePlan? plan);
        return plan ?? throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' cannot record {(reference is null ? "that it has no backing file" : $"the backing file {reference}")}: {Say(refusal)}.");
    }

    private static string Say(BackingChangeRefusal refusal) => refusal switch
    {
        BackingChangeRefusal.TooLong => $"a name has at most {Qcow2Limits.MaxBackingNameLength} bytes and a format {Qcow2Limits.MaxBackingFormatLength}",
        BackingChangeRefusal.NoRoom => "the first cluster has no room for it beside the old name and the header extensions",
        BackingChangeRefusal.ExtensionsInTheWay => "header extensions behind the first sector would have to move, and a crash could tear them",
        _ => throw new ArgumentOutOfRangeException(nameof(refusal)),
    };
}
