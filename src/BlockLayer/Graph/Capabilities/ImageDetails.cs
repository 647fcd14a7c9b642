namespace BlockLayer.Graph;

/// <summary>What one image says about itself beyond its size and backing file.</summary>
public sealed record ImageDetails
{
    /// <summary>
    /// Properties of the format in the order they are shown, by qemu-img's JSON names (<c>lazy-refcounts</c>). A value is a string, a number, a boolean, a list of <see cref="ImageBitmap"/>,
    /// a group of such properties (again an <see cref="IReadOnlyList{T}"/> of pairs), or a list of groups.
    /// </summary>
    public IReadOnlyList<KeyValuePair<string, object>> Properties { get; init; } = [];

    /// <summary>True when the image was not closed cleanly: its tables may be stale until it is checked or opened for writing.</summary>
    public bool IsDirty { get; init; }

    /// <summary>True when the guest's data is encrypted.</summary>
    public bool IsEncrypted { get; init; }

    /// <summary>True when the image is marked as corrupt and takes no more writes.</summary>
    public bool IsCorrupt { get; init; }

    /// <summary>What could not be read and is lacking here, a sentence each; empty when everything could. Only a check finds all damage.</summary>
    public IReadOnlyList<string> Damage { get; init; } = [];
}
