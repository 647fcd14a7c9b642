namespace BlockLayer.Graph;

/// <summary>What every format needs to know to create an image; formats derive from it to add their own.</summary>
public record ImageCreateOptions
{
    /// <summary>Size of the virtual disk in bytes.</summary>
    public required long Length { get; init; }

    /// <summary>The backing file to record; null for none. The name is written as it is.</summary>
    public BackingReference? Backing { get; init; }

    /// <summary>What opens the image, if it is to be encrypted. Stays the caller's.</summary>
    public Passphrase? Passphrase { get; init; }

    /// <summary>The backing file, open to be read, for formats that record what it holds; null where it was not opened.</summary>
    internal BlockNode? BackingNode { get; init; }
}
