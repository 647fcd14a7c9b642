using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Simulation.Tests.Jobs;

/// <summary>The filter of a live copy, which makes a mistake if it is told to, and tells when it is taken out: the disk is drained then.</summary>
internal sealed class WatchedCopyNode(LiveCopySetup setup, LiveCopyMistake mistake, Func<WatchedCopyNode, Task> closing) : LiveCopyNode(setup)
{
    private bool _isDiscarding;

    internal override void Mark(ByteRange range, DirtyCause cause)
    {
        bool isForgotten = mistake switch
        {
            LiveCopyMistake.ForgetsFailures => cause == DirtyCause.CopyFailed,
            LiveCopyMistake.MarksTooEarly => cause == DirtyCause.GuestChanged && !_isDiscarding,
            LiveCopyMistake.ForgetsDiscards => cause == DirtyCause.GuestChanged && _isDiscarding,
            _ => false,
        };
        if (!isForgotten)
        {
            base.Mark(range, cause);
        }
    }

    private protected override ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        if (mistake == LiveCopyMistake.MarksTooEarly)
        {
            base.Mark(new ByteRange(offset, buffer.Length), DirtyCause.NotCopied);
        }

        return base.WriteCoreAsync(offset, buffer, flags, cancellationToken);
    }

    private protected override async ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        _isDiscarding = true;
        try
        {
            await base.DiscardCoreAsync(offset, length, cancellationToken);
        }
        finally
        {
            _isDiscarding = false;
        }
    }

    private protected override async ValueTask CloseCoreAsync()
    {
        await closing(this);
        await base.CloseCoreAsync();
    }
}
