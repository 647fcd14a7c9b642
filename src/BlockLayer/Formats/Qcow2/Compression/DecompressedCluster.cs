namespace BlockLayer.Formats.Qcow2;

/// <summary>The cluster that was decompressed last, for the next read of a part of it.</summary>
/// <param name="Stream">Where its stream lies.</param>
/// <param name="Generation">The allocator's <see cref="ClusterAllocator.ReuseGeneration"/> when the stream was read: later the room may hold another stream.</param>
/// <param name="Content">The whole cluster; not changed by anyone.</param>
internal sealed record DecompressedCluster(CompressedDescriptor Stream, long Generation, byte[] Content);
