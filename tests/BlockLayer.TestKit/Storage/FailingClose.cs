using BlockLayer.Errors;
using BlockLayer.Storage;

namespace BlockLayer.TestKit;

/// <summary>A file that is closed all the same, but not without an error, as on a file server that finds out only then: what is done last with an image that nobody needs any more.</summary>
public sealed class FailingClose : StorageHook
{
    /// <summary>What whoever closes it is told.</summary>
    public const string Message = "It was closed, and not without loss.";

    /// <inheritdoc/>
    public override async ValueTask CloseAsync(BlockStorage file)
    {
        await base.CloseAsync(file).ConfigureAwait(false);
        throw new BlockLayerException(BlockErrorKind.Io, Message) { Path = file.Name };
    }
}
