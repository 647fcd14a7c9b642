namespace BlockLayer.Graph;

/// <summary>What an open does about the backing file that an image records.</summary>
public enum BackingMode
{
    /// <summary>Open the chain.</summary>
    Open,

    /// <summary>Open the one image; what it has not allocated reads as zeroes.</summary>
    Ignore,
}
