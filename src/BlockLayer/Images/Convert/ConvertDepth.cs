namespace BlockLayer.Images;

/// <summary>Which part of a source chain is copied.</summary>
public enum ConvertDepth
{
    /// <summary>Everything a guest reads.</summary>
    Chain,

    /// <summary>What the top image itself decides; the rest is left to the target's backing file, which reads as the source's does.</summary>
    TopImage,
}
