using BlockLayer.Errors;
using BlockLayer.Storage;

namespace BlockLayer.TestKit;

/// <summary>A file whose writer's lock does not become a reader's, as where the file server has forgotten the lock: what is done last when an image becomes read-only.</summary>
public sealed class StuckLock : StorageHook
{
    /// <summary>What whoever tries is told.</summary>
    public const string Message = "The lock is stuck.";

    /// <inheritdoc/>
    public override ValueTask ChangeLockAsync(BlockStorage file, ImageLock wanted)
        => wanted == ImageLock.Reader ? throw new BlockLayerException(BlockErrorKind.Io, Message) { Path = file.Name } : base.ChangeLockAsync(file, wanted);
}
