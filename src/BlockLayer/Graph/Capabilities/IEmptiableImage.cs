namespace BlockLayer.Graph;

/// <summary>A format node whose image can let go of everything that it holds of the disk, so that the backing file shows again.</summary>
internal interface IEmptiableImage
{
    /// <summary>Makes sure that <see cref="MakeEmptyAsync"/> is possible, as far as it can be told before.</summary>
    /// <exception cref="Errors.BlockLayerException">ReadOnly; Unsupported: the image cannot say that it holds nothing.</exception>
    void ThrowIfCannotMakeEmpty();

    /// <summary>
    /// Drops every cluster of the disk, durably, and gives the room back. Runs drained. The caller has made sure that the backing file shows the same, durably: after a crash
    /// any part of the clusters may be dropped.
    /// </summary>
    /// <param name="throwIfChanged">Called with everybody held back, before anything is dropped: throws if the backing file does not show the same any more.</param>
    /// <param name="cancellationToken">Honoured until something is dropped.</param>
    /// <exception cref="Errors.BlockLayerException">ReadOnly, Unsupported, Conflict (a job uses the image), Corrupt, NoSpace, Io.</exception>
    ValueTask MakeEmptyAsync(Action throwIfChanged, CancellationToken cancellationToken);
}
