namespace BlockLayer.Graph;

/// <summary>A format node whose image can get other values of some options it was created with.</summary>
internal interface IAmendableImage
{
    /// <summary>Changes options, each in one step: after a crash it is as before or as asked for. Runs drained; durable on return.</summary>
    /// <param name="options">Names and values as for creating an image.</param>
    /// <param name="cancellationToken">Honoured until a step is made, and between steps.</param>
    /// <exception cref="ArgumentException">An option that cannot be changed, a value it does not take, or two that exclude each other. Nothing was changed.</exception>
    /// <exception cref="Errors.BlockLayerException">Unsupported: the image holds what the new value cannot say; ReadOnly, Conflict (a job uses the image), Corrupt, NoSpace, Io.</exception>
    ValueTask AmendAsync(IReadOnlyDictionary<string, string> options, CancellationToken cancellationToken);
}
