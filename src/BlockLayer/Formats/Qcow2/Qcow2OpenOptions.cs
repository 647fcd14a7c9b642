namespace BlockLayer.Formats.Qcow2;

/// <summary>How an image is run once it is open.</summary>
internal sealed record Qcow2OpenOptions
{
    /// <summary>Bytes of L2 tables kept in memory; QEMU's default.</summary>
    internal long TableCacheLength { get; init; } = 32L << 20;

    /// <summary>When released clusters are used again.</summary>
    internal ClusterReusePolicy ReusePolicy { get; init; } = ClusterReusePolicy.Safe;

    /// <summary>How copies from the backing chain are stored.</summary>
    internal CopyStore CopyStore { get; init; } = CopyStore.Safe;
}
