namespace BlockLayer.Images;

/// <summary>What creating an overlay does about the backing file that it is to record.</summary>
public enum BackingVerification
{
    /// <summary>Opens it, chain included: it must exist, be of the named format and be allowed by the policy.</summary>
    Open,

    /// <summary>Records the name unseen; the length has to be given.</summary>
    None,
}
