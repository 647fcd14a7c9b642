namespace BlockLayer.Libvirt;

/// <summary>How much XML is read before it is refused: descriptions come from outside.</summary>
internal static class XmlLimits
{
    /// <summary>Characters of one text. A domain with a thousand disks has about half of it.</summary>
    internal const int MaxCharacters = 1 << 20;

    /// <summary>Characters of a store of snapshots. A snapshot of one disk has about 500.</summary>
    internal const int MaxStoreCharacters = 1 << 24;

    /// <summary>Elements inside each other. A chain of 256 images, the longest that is opened by default, nests 256 backing stores.</summary>
    internal const int MaxDepth = 300;
}
