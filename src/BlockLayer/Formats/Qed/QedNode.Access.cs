using BlockLayer.Graph;

namespace BlockLayer.Formats.Qed;

// Becoming writable is what opening to write is, the check of an image that was not closed cleanly included; becoming read-only is what closing is.
internal sealed partial class QedNode
{
    internal override ValueTask SettleToReadAsync() => _needCheck?.CloseAsync() ?? ValueTask.CompletedTask;

    private protected override async ValueTask BeginWritingCoreAsync(CancellationToken cancellationToken)
    {
        ChangePermissions(_file, NeedsFor(NodeAccess.ReadWrite), Shares);
        await LoadAsync(cancellationToken).ConfigureAwait(false);
    }

    private protected override async ValueTask EndWritingCoreAsync()
    {
        ChangePermissions(_file, NeedsFor(NodeAccess.ReadOnly), Shares);
        NeedCheck? needCheck = _needCheck;
        (_writer, _allocations, _needCheck) = (null, null, null);
        await (needCheck?.DisposeAsync() ?? ValueTask.CompletedTask).ConfigureAwait(false);
    }
}
