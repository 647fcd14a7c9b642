using System.Collections.Immutable;
using FsCheck;
using FsCheck.Fluent;

namespace BlockLayer.Tests.Images.Chains;

/// <summary>One image of a generated chain.</summary>
/// <param name="Format">A format, with create options behind a colon.</param>
/// <param name="Sectors">Its length in sectors.</param>
/// <param name="Writes">What is written to it, in order.</param>
internal sealed record ChainLayer(string Format, int Sectors, ImmutableArray<LayerWrite> Writes)
{
    internal const int SectorSize = 512;

    private static readonly string[] s_overlays =
    [
        "qcow2:cluster_size=4096", "qcow2:cluster_size=512", "qcow2:cluster_size=65536", "qcow2:cluster_size=4096,compat=0.10",
        "qcow2:cluster_size=16384,extended_l2=on", "qed:cluster_size=4096,table_size=2", "qed:cluster_size=16384,table_size=2",
        "add-cow:cluster_size=4096", "add-cow:cluster_size=16384",
    ];

    /// <summary>Images that can stand above others, and are of different lengths.</summary>
    internal static Gen<ChainLayer> Overlay { get; } = Layer(Gen.Elements(s_overlays));

    /// <summary>Images at the bottom.</summary>
    internal static Gen<ChainLayer> Bottom { get; } = Layer(Gen.Elements([.. s_overlays, "raw", "raw"]));

    /// <summary>Chains with one overlay at least, oldest first.</summary>
    /// <param name="most">The most images.</param>
    internal static Gen<ImmutableArray<ChainLayer>> Chains(int most)
        => from bottom in Bottom
           from count in Gen.Choose(1, most - 1)
           from overlays in Gen.ListOf(Overlay, count)
           let chain = (ImmutableArray<ChainLayer>)[bottom, .. overlays]
           where CanStandOnEachOther(chain)
           select chain;

    /// <summary>Whether each of these images could stand on any other: a QED header has no word for add-cow.</summary>
    internal static bool CanStandOnEachOther(IEnumerable<ChainLayer> layers)
    {
        string[] formats = [.. layers.Select(BuiltChain.FormatOf)];
        return !formats.Contains("qed") || !formats.Contains("add-cow");
    }

    /// <summary>The chain with one write less, or with one overlay less.</summary>
    internal static IEnumerable<ImmutableArray<ChainLayer>> Shrink(ImmutableArray<ChainLayer> chain)
    {
        for (int i = 1; i < chain.Length && chain.Length > 2; i++)
        {
            yield return chain.RemoveAt(i);
        }

        for (int i = 0; i < chain.Length; i++)
        {
            for (int at = 0; at < chain[i].Writes.Length; at++)
            {
                yield return chain.SetItem(i, chain[i] with { Writes = chain[i].Writes.RemoveAt(at) });
            }
        }
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Format} {Sectors} [{string.Join(", ", Writes.Select(static write => $"{write.Sector}+{write.Count}={write.Writer}"))}]";

    private static Gen<ChainLayer> Layer(Gen<string> format)
        => from name in format
           from sectors in Gen.OneOf(Gen.Choose(1, 400), Gen.Constant(256), Gen.Constant(256), Gen.Constant(300))
           from count in Gen.Choose(0, 5)
           from writes in Gen.ListOf(Write, count)
           select new ChainLayer(name, sectors, [.. writes]);

    // Few writers, so that different images hold the same here and there.
    private static Gen<LayerWrite> Write { get; } =
        from sector in Gen.OneOf(Gen.Choose(0, 400), Gen.Select(Gen.Choose(0, 49), static cluster => cluster * 8))
        from count in Gen.OneOf(Gen.Choose(1, 12), Gen.Choose(1, 120), Gen.Constant(8))
        from writer in Gen.Choose(0, 2)
        select new LayerWrite(sector, count, writer);
}
