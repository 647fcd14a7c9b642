namespace BlockLayer.Errors;

/// <summary>
/// An image refers to another file, and the open policy does not allow it to be opened, or a format is not known and the policy does not allow to guess
/// it. Nothing was read of that file.
/// </summary>
public sealed class OpenDeniedException : BlockLayerException
{
    /// <summary>Makes a refusal.</summary>
    /// <param name="policy">Name of the policy that refused.</param>
    /// <param name="reference">The name found in the image, as written there; for the top image, its path.</param>
    /// <param name="message">Why, and which root or option would allow it.</param>
    public OpenDeniedException(string policy, string reference, string message)
        : base(BlockErrorKind.Denied, message)
    {
        Policy = policy;
        Reference = reference;
    }

    /// <summary>Name of the policy that refused.</summary>
    public string Policy { get; }

    /// <summary>The name found in the image, as written there; for the top image, its path.</summary>
    public string Reference { get; }

    internal override BlockLayerException WithPath(string path)
        => new OpenDeniedException(Policy, Reference, Message) { NodeName = NodeName, Path = path, Offset = Offset };
}
