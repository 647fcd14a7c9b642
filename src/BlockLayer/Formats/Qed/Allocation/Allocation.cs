using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qed;

/// <summary>
/// Guest clusters, within one slice, that get host clusters: taken, being filled, not published yet. Readers still see what was there before.
/// </summary>
internal sealed record Allocation
{
    /// <summary>The first guest cluster.</summary>
    internal required GuestCluster First { get; init; }

    /// <summary>How many, at least 1.</summary>
    internal required int Count { get; init; }

    /// <summary>Where they are stored, one after the other.</summary>
    internal required HostOffset Host { get; init; }

    /// <summary>The slice that will say so; pinned.</summary>
    internal required L2Slice Slice { get; init; }

    /// <summary>What the first cluster was: tells what surrounds the data that is written into it.</summary>
    internal required ClusterKind FirstWas { get; init; }

    /// <summary>What the last cluster was.</summary>
    internal required ClusterKind LastWas { get; init; }

    /// <summary>Happens when the clusters are published or given up; whoever waited looks them up again.</summary>
    internal Completion Done { get; } = new();

    /// <summary>The guest bytes.</summary>
    internal ByteRange Range(QedGeometry g) => new(First.Offset(g), (long)Count << g.ClusterBits);

    internal bool Contains(GuestCluster cluster) => cluster.Index >= First.Index && cluster.Index < First.Index + Count;
}
