namespace BlockLayer.Graph;

/// <summary>What images know of their backing files, where a job is about to write below them.</summary>
internal static class BackingKnowledge
{
    /// <summary>
    /// Lets images take their backing files as they are until they are closed, durably: else a job that ends early, or a crash, would leave images that refuse what stands
    /// below them. They are made writable for it.
    /// </summary>
    /// <param name="change">A change that has drained the images.</param>
    /// <param name="images">Those that stand above what is written.</param>
    /// <param name="writable">Gets what was made writable; to be restored when what was written below is durable and nobody writes there any more.</param>
    /// <param name="cancellationToken">Honoured between images.</param>
    /// <exception cref="Errors.BlockLayerException">As for <see cref="NodeReopen.MakeWritableAsync"/>; NoSpace, Io.</exception>
    internal static async ValueTask ForgetAsync(GraphChange change, IEnumerable<BlockNode> images, List<NodeReopen> writable, CancellationToken cancellationToken)
    {
        foreach (BlockNode image in images)
        {
            if (image is IVerifiesBacking verifier)
            {
                writable.Add(await NodeReopen.MakeWritableAsync(change, image, cancellationToken).ConfigureAwait(false));
                await verifier.ForgetBackingAsync().ConfigureAwait(false);
            }
        }
    }
}
