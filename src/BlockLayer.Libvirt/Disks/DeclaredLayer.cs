using System.Xml.Linq;

namespace BlockLayer.Libvirt;

/// <summary>One backing store that a description declares, instead of leaving it to what the image records.</summary>
/// <param name="Source">Where it is; null ends the chain.</param>
/// <param name="Format">Its format; null where the description does not say.</param>
internal sealed record DeclaredLayer(DiskSource? Source, string? Format)
{
    /// <summary>The layers that a disk declares, from the one right below the active image; empty where it declares none.</summary>
    internal static IReadOnlyList<DeclaredLayer> Read(XElement disk)
    {
        var layers = new List<DeclaredLayer>();
        for (XElement? store = disk.Child("backingStore"); store is not null; store = store.Child("backingStore"))
        {
            DiskSource? source = DiskSource.Read(store);
            layers.Add(new DeclaredLayer(source, store.Child("format")?.Text("type")));
            if (source is null && store.Child("backingStore") is { } below)
            {
                throw XmlText.Invalid(below, "what lies above it has no source.");
            }
        }

        return layers;
    }
}
