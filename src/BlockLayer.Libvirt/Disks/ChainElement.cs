using BlockLayer.Graph;

namespace BlockLayer.Libvirt;

/// <summary>One image of a disk's chain, as libvirt's addresses and descriptions see it.</summary>
/// <param name="Index">0 for the active image; N for the one that <c>vda[N]</c> and <c>&lt;backingStore index='N'&gt;</c> mean.</param>
/// <param name="Node">The open image.</param>
/// <param name="Source">Where it is.</param>
/// <param name="RecordedName">The name by which the image above it records it; null for the active image.</param>
public sealed record ChainElement(int Index, BlockNode Node, DiskSource Source, string? RecordedName)
{
    /// <summary>Its file, as it was opened.</summary>
    public string Path => Source.Path;

    /// <summary>Its format, as <c>&lt;format type='...'/&gt;</c> spells it.</summary>
    public string Format => Node.DriverName;

    /// <inheritdoc/>
    public override string ToString() => Index == 0 ? $"'{Path}' (active)" : $"'{Path}' (index {Index})";
}
