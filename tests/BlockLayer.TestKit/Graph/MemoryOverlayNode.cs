using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.TestKit.Graph;

/// <summary>
/// The smallest format with a backing node: clusters in memory, allocated one by one, under the same in-flight rule as a real format. Its
/// <see cref="OverlaySteps"/> let a scheduler come between lookup, data and publish, and let a test fail any of them.
/// </summary>
/// <remarks>
/// Between lookup and publish a cluster that is being allocated stands in the in-flight table; whoever wants to write, populate, zero or discard it
/// waits there and looks again. Reads see the old mapping until the publish.
/// </remarks>
internal sealed partial class MemoryOverlayNode : BlockNode
{
    private static readonly byte[] s_zeroCluster = []; // stands for a cluster that reads as zeroes

    private readonly int _clusterSize;
    private readonly Lock _gate = new();
    private readonly Dictionary<long, byte[]> _clusters = [];        // guarded by _gate; allocated clusters by index
    private readonly Dictionary<long, Completion> _inFlight = [];    // guarded by _gate
    private BackingReference? _reference;

    internal MemoryOverlayNode(string name, long length, int clusterSize, BlockEnvironment environment, BlockNode? backing = null, NodeAccess access = NodeAccess.ReadWrite)
        : base(name, environment, access)
    {
        _clusterSize = clusterSize;
        SetLength(length);
        SetLimits(new BlockLimits
        {
            ClusterSize = clusterSize,
            SubclusterSize = clusterSize,
            DiscardGranularity = clusterSize,
            ZeroGranularity = clusterSize,
            SupportsPopulate = true,
        });
        if (backing is not null)
        {
            AttachBacking(backing);
            _reference = new BackingReference(backing.NodeName, backing.DriverName);
        }
    }

    /// <summary>What happens at the steps.</summary>
    internal OverlaySteps Steps { get; set; } = OverlaySteps.None;

    /// <summary>Breaks the node on purpose: a copy overwrites what was allocated since it was fetched.</summary>
    internal bool PopulatesBlindly { get; set; }

    /// <summary>Breaks the node on purpose: copies are accepted and forgotten.</summary>
    internal bool ForgetsCopies { get; set; }

    /// <summary>Changes since the last flush, and the last flush's number; for tests of order.</summary>
    internal bool IsDirty { get; private set; }

    public override string DriverName => "memory-overlay";

    public override BackingReference? BackingReference => _reference;

    /// <summary>Clusters that hold their own content.</summary>
    internal int AllocatedClusters
    {
        get
        {
            lock (_gate)
            {
                return _clusters.Count;
            }
        }
    }

    /// <summary>Puts content in place without a request, to arrange a test.</summary>
    internal void Fill(long offset, ReadOnlySpan<byte> content)
    {
        for (long at = offset; at < offset + content.Length; at += _clusterSize)
        {
            byte[] cluster = new byte[_clusterSize];
            ReadOnlySpan<byte> part = content[(int)(at - offset)..];
            part[..Math.Min(part.Length, _clusterSize)].CopyTo(cluster);
            _clusters[at / _clusterSize] = cluster;
        }
    }

    /// <summary>Makes clusters zero without a request, to arrange a test.</summary>
    internal void FillZero(long offset, long length)
    {
        for (long at = offset; at < offset + length; at += _clusterSize)
        {
            _clusters[at / _clusterSize] = s_zeroCluster;
        }
    }

    internal override void ThrowIfCannotRecordBacking(BackingReference? reference)
    {
        if (reference?.Name.Length > 1023)
        {
            throw Error(BlockErrorKind.NoSpace, $"There is no room for a backing name of {reference.Name.Length} characters.");
        }
    }

    internal override async ValueTask RecordBackingAsync(BackingReference? reference, CancellationToken cancellationToken)
    {
        await Steps.AtAsync(this, OverlayStep.Record, new ByteRange(0, Length)).ConfigureAwait(false);
        _reference = reference;
    }

    private protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
    {
        ValueTask step = Steps.AtAsync(this, OverlayStep.Read, new ByteRange(offset, buffer.Length));
        return step.IsCompletedSuccessfully && TryReadAllocated(offset, buffer) ? ValueTask.CompletedTask : ReadClustersAsync(step, offset, buffer, cancellationToken);
    }

    private protected override async ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        while (!buffer.IsEmpty)
        {
            int piece = (int)Math.Min(buffer.Length, _clusterSize - (offset % _clusterSize));
            await WriteClusterAsync(offset, buffer[..piece], cancellationToken).ConfigureAwait(false);
            offset += piece;
            buffer = buffer[piece..];
        }
    }

    private protected override async ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        for (long end = offset + length; offset < end;)
        {
            long piece = Math.Min(end - offset, _clusterSize - (offset % _clusterSize));
            if (piece == _clusterSize || (offset % _clusterSize == 0 && offset + piece == Length))
            {
                await SetZeroAsync(offset / _clusterSize).ConfigureAwait(false);
            }
            else
            {
                await WriteClusterAsync(offset, new byte[piece], cancellationToken).ConfigureAwait(false);
            }

            offset += piece;
        }
    }

    private protected override async ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        for (long at = offset; at < offset + length; at += _clusterSize)
        {
            await SetZeroAsync(at / _clusterSize).ConfigureAwait(false);
        }
    }

    // What is added reads as zeroes, whatever a longer backing node holds there.
    private protected override async ValueTask ResizeCoreAsync(long length, ResizeOptions options, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            // What lies behind the new end must not come back when the disk grows again.
            foreach (long index in _clusters.Keys.Where(index => index * _clusterSize >= length).ToList())
            {
                _clusters.Remove(index);
            }

            if (_clusters.TryGetValue(length / _clusterSize, out byte[]? last) && last.Length > 0)
            {
                last.AsSpan((int)(length % _clusterSize)).Clear();
            }
        }

        long before = Length;
        SetLength(length);
        try
        {
            await WriteZeroesCoreAsync(before, Math.Max(0, length - before), ZeroFlags.None, cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            SetLength(before);
            throw;
        }
    }

    private protected override async ValueTask FlushCoreAsync(CancellationToken cancellationToken)
    {
        await Steps.AtAsync(this, OverlayStep.Flush, new ByteRange(0, Length)).ConfigureAwait(false);
        IsDirty = false;
    }

    private protected override ValueTask<BlockStatus> GetStatusCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            byte[]? first = _clusters.GetValueOrDefault(offset / _clusterSize);
            long run = _clusterSize - (offset % _clusterSize);
            while (run < length && Kind(_clusters.GetValueOrDefault((offset + run) / _clusterSize)) == Kind(first))
            {
                run += _clusterSize;
            }

            run = Math.Min(run, length);
            return new ValueTask<BlockStatus>(first switch
            {
                null => BlockStatus.Unallocated(run),
                { Length: 0 } => BlockStatus.Zeroes(run, this),
                _ => new BlockStatus(StatusFlags.Data | StatusFlags.Allocated, run, 0, this),
            });
        }
    }

    private protected override async ValueTask PopulateCoreAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        for (; !buffer.IsEmpty; offset += _clusterSize)
        {
            int piece = Math.Min(buffer.Length, _clusterSize);
            byte[] content = new byte[_clusterSize];
            buffer[..piece].CopyTo(content);
            await PopulateClusterAsync(offset / _clusterSize, content).ConfigureAwait(false);
            buffer = buffer[piece..];
        }
    }

    private protected override async ValueTask PopulateZeroesCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        for (long at = offset; at < offset + length; at += _clusterSize)
        {
            await PopulateClusterAsync(at / _clusterSize, s_zeroCluster).ConfigureAwait(false);
        }
    }

    private static int Kind(byte[]? cluster) => cluster is null ? 0 : cluster.Length == 0 ? 1 : 2;

    private bool TryReadAllocated(long offset, Memory<byte> buffer)
    {
        lock (_gate)
        {
            while (!buffer.IsEmpty)
            {
                if (!_clusters.TryGetValue(offset / _clusterSize, out byte[]? cluster))
                {
                    return false;
                }

                int piece = (int)Math.Min(buffer.Length, _clusterSize - (offset % _clusterSize));
                CopyFrom(cluster, (int)(offset % _clusterSize), buffer.Span[..piece]);
                offset += piece;
                buffer = buffer[piece..];
            }
        }

        return true;
    }

    private async ValueTask ReadClustersAsync(ValueTask step, long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        await step.ConfigureAwait(false);
        while (!buffer.IsEmpty)
        {
            int piece = (int)Math.Min(buffer.Length, _clusterSize - (offset % _clusterSize));
            if (!TryReadAllocated(offset, buffer[..piece]))
            {
                if (BackingEdge is { } backing)
                {
                    await backing.ReadPaddedAsync(offset, buffer[..piece], cancellationToken).ConfigureAwait(false);
                }
                else
                {
                    buffer.Span[..piece].Clear();
                }
            }

            offset += piece;
            buffer = buffer[piece..];
        }
    }

    private static void CopyFrom(byte[] cluster, int at, Span<byte> destination)
    {
        if (cluster.Length == 0)
        {
            destination.Clear();
        }
        else
        {
            cluster.AsSpan(at, destination.Length).CopyTo(destination);
        }
    }
}
