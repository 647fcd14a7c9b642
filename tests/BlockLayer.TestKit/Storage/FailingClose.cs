using BlockLayer.Errors;
using BlockLayer.Storage;

namespace BlockLayer.TestKit;

/// <summary>A file that is closed all the same, but not without an error, as on a file server that finds out only then: what is done last with an image that nobody needs any more.</summary>
public sealed class FailingClose : StorageHook
{
    /// <summary>What whoever closes it is told.</summary>
    public const string Message = "It was closed, and not without loss.";

    /// <summary>Only where it was open to be written; who just looks at it closes it well.</summary>
    public bool AfterWriting { get; init; }

    /// <inheritdoc/>
    public override async ValueTask CloseAsync(BlockStorage file)
    {
        bool fails = !AfterWriting || !file.IsReadOnly;
        await base.CloseAsync(file).ConfigureAwait(false);
        if (fails)
        {
            throw new BlockLayerException(BlockErrorKind.Io, Message) { Path = file.Name };
        }
    }
}
