namespace BlockLayer.Errors;

/// <summary>
/// The open policy does not allow to open a file that an image refers to, or to guess a format that is not known, and nothing was read of that file; or it
/// does not allow a disk as long as the image's.
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
