namespace BlockLayer.Graph;

/// <summary>A format node that knows what its backing file held, not only its name.</summary>
internal interface IVerifiesBacking
{
    /// <summary>Looks at the backing node, which stands below with its whole chain, or is about to; nobody changes what it holds.</summary>
    /// <exception cref="Errors.BlockLayerException">InvalidFormat: it is not what the image was made over. Io: it cannot be read.</exception>
    ValueTask VerifyBackingAsync(BlockNode backing, CancellationToken cancellationToken);

    /// <summary>
    /// The backing file is about to be written by a job, so that the chain reads as before: from now on it is taken as it is, durably, until a clean close notes it anew.
    /// The image is drained and open for writing.
    /// </summary>
    ValueTask ForgetBackingAsync();
}
