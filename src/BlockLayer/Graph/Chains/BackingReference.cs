namespace BlockLayer.Graph;

/// <summary>What an image records about its backing file. It is a claim of the image, not a trusted path: only the opener acts on it, under a policy.</summary>
/// <param name="Name">The name exactly as the image spells it.</param>
/// <param name="Format">The format's name, as qemu-img spells it; null where the image does not say.</param>
public sealed record BackingReference(string Name, string? Format)
{
    /// <summary>
    /// True when the image format has no field for the backing format other than "raw", so that the magic of the file decides between qcow2 and
    /// QED, and nothing else is possible (QED).
    /// </summary>
    public bool DecidedByMagic { get; init; }

    /// <inheritdoc/>
    public override string ToString() => Format is null ? $"'{Name}'" : $"'{Name}' ({Format})";
}
