using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

// Compressed clusters: read through a small cache, written one stream behind the other.
internal sealed partial class Qcow2Node
{
    private DecompressedCluster? _lastDecompressed; // replaced whole; any thread

    private async ValueTask ReadCompressedAsync(GuestOffset at, CompressedDescriptor stream, Memory<byte> buffer)
    {
        long generation = _allocator.ReuseGeneration; // before the bytes are read
        int inCluster = at.OffsetInCluster(_geometry);
        if (Volatile.Read(ref _lastDecompressed) is { } last && last.Stream == stream && last.Generation == generation)
        {
            last.Content.AsSpan(inCluster, buffer.Length).CopyTo(buffer.Span);
            return;
        }

        IClusterCodec codec = ClusterCodecs.For(Header.Compression);
        using PooledBuffer compressed = Environment.Buffers.Rent(stream.Length);
        await _file.ReadPaddedAsync(stream.Offset.Value, compressed.Memory, CancellationToken.None).ConfigureAwait(false);
        if (buffer.Length == _geometry.ClusterSize)
        {
            codec.Decompress(compressed.Span, buffer.Span, stream.Offset);
            return;
        }

        byte[] content = new byte[_geometry.ClusterSize];
        codec.Decompress(compressed.Span, content, stream.Offset);
        Volatile.Write(ref _lastDecompressed, new DecompressedCluster(stream, generation, content));
        content.AsSpan(inCluster, buffer.Length).CopyTo(buffer.Span);
    }

    /// <summary>
    /// Writes whole clusters compressed. What is no whole cluster, or does not shrink, is written plainly. Compressing is handed to the scheduler cluster by
    /// cluster: a writer that waited for the allocation lock runs on the thread of whoever left it, and two that compress there are one.
    /// </summary>
    private async ValueTask WriteCompressedAsync(GuestOffset at, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        int clusterSize = _geometry.ClusterSize;
        using PooledBuffer cluster = Environment.Buffers.Rent(clusterSize);
        using PooledBuffer stream = Environment.Buffers.Rent(clusterSize - 1);
        var compression = new Compression(ClusterCodecs.For(Header.Compression), cluster.Memory, stream.Memory);
        while (!buffer.IsEmpty)
        {
            int length = Math.Min(buffer.Length, clusterSize - at.OffsetInCluster(_geometry));
            ReadOnlyMemory<byte> data = buffer[..length];
            bool isWhole = at.OffsetInCluster(_geometry) == 0 && (length == clusterSize || at.Value + length == Length);
            cluster.Span.Clear();
            data.CopyTo(cluster.Memory);
            if (isWhole)
            {
                await Environment.Work.RunAsync(static work => work.Run(), compression).ConfigureAwait(false);
            }

            if (isWhole && compression.Fits)
            {
                await StoreStreamAsync(at.Cluster(_geometry), stream.Memory[..compression.StreamLength], cancellationToken).ConfigureAwait(false);
            }
            else
            {
                await WriteSlowAsync(at, data, cancellationToken).ConfigureAwait(false);
            }

            cancellationToken = CancellationToken.None; // bytes were submitted: the request runs to its end
            at = at.Plus(length);
            buffer = buffer[length..];
        }
    }

    private async ValueTask StoreStreamAsync(GuestCluster cluster, ReadOnlyMemory<byte> stream, CancellationToken cancellationToken)
    {
        while (true)
        {
            await PrepareToWriteAsync().ConfigureAwait(false);
            HostOffset place = default;
            InFlightAllocation? allocation = await PlanAsync(
                async () =>
                {
                    (WritePlan plan, place) = await PlanStreamLockedAsync(cluster, stream.Length).ConfigureAwait(false);
                    return plan;
                },
                cancellationToken).ConfigureAwait(false);
            if (allocation is null)
            {
                continue;
            }

            CompressedDescriptor descriptor;
            try
            {
                descriptor = CompressedDescriptor.ForStream(place, stream.Length, _geometry);
                await _file.WriteAsync(place.Value, stream, cancellationToken).ConfigureAwait(false);
            }
            catch (Exception error)
            {
                if (await AbandonAsync(allocation, error).ConfigureAwait(false))
                {
                    continue;
                }

                throw;
            }

            await PublishAsync(allocation, (_, _) => L2Entry.ForCompressed(descriptor, _geometry)).ConfigureAwait(false);
            return;
        }
    }

    private async ValueTask<(WritePlan Plan, HostOffset Place)> PlanStreamLockedAsync(GuestCluster cluster, int length)
    {
        if (_inFlight.Find(cluster) is { } other)
        {
            return (new WritePlan(Busy: other.Done), default);
        }

        if (await EnsureSliceAsync(cluster).ConfigureAwait(false) is not { } slice)
        {
            return (WritePlan.Grow, default);
        }

        InFlightAllocation? allocation = null;
        try
        {
            await CheckOldMappingAsync(slice, cluster).ConfigureAwait(false);
            if (await _packer.AllocateAsync(length).ConfigureAwait(false) is not { } place)
            {
                return (WritePlan.Grow, default);
            }

            HostCluster first = place.Cluster(_geometry);
            int touched = (int)(place.Plus(length - 1).Cluster(_geometry).Index - first.Index) + 1;
            allocation = new InFlightAllocation(cluster, 1, new HostRun(first, touched), slice, cluster.Offset(_geometry), cluster.Plus(1).Offset(_geometry));
            _inFlight.Add(allocation);
            return (new WritePlan(allocation), place);
        }
        finally
        {
            if (allocation is null)
            {
                _tables.Unpin(slice);
            }
        }
    }

    /// <summary>One cluster's compression at a time, in buffers that its owner fills and reads between runs.</summary>
    private sealed class Compression(IClusterCodec codec, Memory<byte> cluster, Memory<byte> stream)
    {
        internal bool Fits { get; private set; }

        internal int StreamLength { get; private set; }

        internal void Run()
        {
            Fits = codec.TryCompress(cluster.Span, stream.Span, out int length);
            StreamLength = length;
        }
    }
}
