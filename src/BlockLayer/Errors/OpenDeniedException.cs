namespace BlockLayer.Errors;

/// <summary>An image refers to another file, and the open policy does not allow it to be opened. Nothing was opened.</summary>
public sealed class OpenDeniedException : BlockLayerException
{
    /// <summary>Makes a refusal.</summary>
    /// <param name="policy">Name of the policy that refused.</param>
    /// <param name="reference">The name found in the image, as written there.</param>
    /// <param name="message">Why, and which root or option would allow it.</param>
    public OpenDeniedException(string policy, string reference, string message)
        : base(BlockErrorKind.Denied, message)
    {
        Policy = policy;
        Reference = reference;
    }

    /// <summary>Name of the policy that refused.</summary>
    public string Policy { get; }

    /// <summary>The name found in the image, as written there.</summary>
    public string Reference { get; }

    internal override BlockLayerException WithPath(string path)
        => new OpenDeniedException(Policy, Reference, Message) { NodeName = NodeName, Path = path, Offset = Offset };
}
