using BlockLayer.Storage;
using BlockLayer.TestKit;

namespace BlockLayer.KillHost;

/// <summary>
/// Watches the notes that a host makes of a snapshot on its way. The one that lets disks switch is the <see cref="KillPoint.BeforeSwitch"/>, and behind it the snapshot only ends; the next, which
/// says that they have, is the <see cref="KillPoint.AfterSwitch"/>.
/// </summary>
/// <param name="stage">Where the process stops.</param>
/// <param name="notesBefore">Notes from <see cref="Begin"/> on that are made before disks may switch.</param>
internal sealed class NotesHook(KillStage stage, int notesBefore) : StorageHook
{
    private volatile bool _hasBegun;
    private int _notes; // one is made at a time

    /// <summary>The snapshot is going to be made, or deleted.</summary>
    internal void Begin() => _hasBegun = true;

    public override ValueTask WriteAsync(BlockStorage file, long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        int note = _hasBegun ? _notes++ - notesBefore : int.MinValue;
        if (note == 0)
        {
            stage.On(KillPoint.BeforeSwitch);
            stage.BeginFinishing();
        }
        else if (note == 1)
        {
            stage.On(KillPoint.AfterSwitch);
        }

        stage.OnCall();
        return base.WriteAsync(file, offset, data, cancellationToken);
    }
}
