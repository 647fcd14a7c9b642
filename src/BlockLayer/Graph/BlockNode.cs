using System.Diagnostics;
using System.Numerics;
using System.Runtime.ExceptionServices;
using BlockLayer.Errors;
using BlockLayer.Primitives;
using BlockLayer.Requests;

namespace BlockLayer.Graph;

/// <summary>
/// A vertex of the block graph: a protocol over storage, a format over a protocol, or a filter over a node. Everything that can be read or written is one.
/// </summary>
/// <remarks>
/// <para>The contract, the same for every node and tested by one suite:</para>
/// <list type="bullet">
/// <item><b>Order and visibility.</b> Any number of requests in flight, from any thread. A completed write is visible to every later read. Where writes in
/// flight overlap, each 512-byte sector ends as one of the writers'. A failed request leaves old or new data in its own range and nothing else.</item>
/// <item><b>Durability.</b> Data is durable only after a flush that started after the write completed, or with <see cref="WriteFlags.Fua"/>.</item>
/// <item><b>Bounds.</b> A request from outside lies within <see cref="Length"/>, else <see cref="BlockErrorKind.OutOfRange"/>. A parent that holds
/// the resize permission may write past the end of a node that grows. There are no short reads. Length 0 does nothing.</item>
/// <item><b>Cancellation.</b> Honoured while a request waits and before its first byte is submitted, not after. A request completes only when
/// nothing below touches its buffer any more.</item>
/// <item><b>Discard.</b> Afterwards the range reads as before or as zeroes, never as backing data that was hidden.</item>
/// <item><b>Continuations.</b> A request that had to wait is completed on the thread that brought about its end, a job's or the storage's, and what awaits
/// it goes on there, before others that became ready behind it. Code that then blocks, computes for long, or loops over requests that all complete at once
/// holds those up: it belongs on a thread of its own.</item>
/// </list>
/// <para>The public methods are the doors through which requests enter the graph: they check, count, align and split. A driver implements the
/// <c>...CoreAsync</c> members and may assume valid, aligned, counted requests. Requests of a parent come through its <see cref="BlockEdge"/>, which
/// does the same except that a drain does not hold it back.</para>
/// </remarks>
public abstract partial class BlockNode : IAsyncDisposable
{
    private readonly List<BlockEdge> _children = []; // guarded by the environment's topology lock
    private readonly List<BlockEdge> _parents = [];  // guarded by the environment's topology lock
    private BlockEdge? _backingEdge;                 // volatile: formats look at it on every read
    private long _length;                            // interlocked
    private int _references = 1;                     // interlocked

    /// <summary>Makes a node that its creator owns.</summary>
    /// <param name="nodeName">What the node is called in messages and by jobs: usually the path of its file.</param>
    /// <param name="environment">The world it lives in.</param>
    /// <param name="access">Whether it can be written at all.</param>
    private protected BlockNode(string nodeName, BlockEnvironment environment, NodeAccess access)
    {
        NodeName = nodeName;
        Environment = environment;
        IsReadOnly = access == NodeAccess.ReadOnly;
        RefreshDoor();
    }

    /// <summary>What the node is called in messages and by jobs: usually the path of its file.</summary>
    public virtual string NodeName { get; }

    /// <summary>The driver's name, as qemu-img spells it: <c>file</c>, <c>raw</c>, <c>qcow2</c>, <c>qed</c>, <c>copy-on-read</c>, ...</summary>
    public abstract string DriverName { get; }

    /// <summary>Size of the virtual disk in bytes.</summary>
    public long Length => Volatile.Read(ref _length);

    /// <summary>True when the node cannot be written: it was opened so, and no job has made it writable for as long as it works.</summary>
    public bool IsReadOnly { get; private set; }

    /// <summary>Limits and granularities of the node.</summary>
    public BlockLimits Limits { get; private set; } = new();

    /// <summary>The file the node is stored in, for messages; null where there is none.</summary>
    public virtual string? Path => null;

    /// <summary>The child with the given role; null if there is none.</summary>
    public BlockNode? GetChild(EdgeRole role) => FindChild(role)?.Child;

    /// <summary>
    /// What stands below in the backing chain, an image or a filter in front of it; null at the bottom. A filter answers for what it filters.
    /// </summary>
    public virtual BlockNode? Backing => BackingEdge?.Child;

    /// <summary>What the image records about its backing file, whether that was opened or not; null where it records none.</summary>
    public virtual BackingReference? BackingReference => null;

    /// <summary>What the node shows of its file that an open by the file's name alone would not, for messages; null where that shows the same.</summary>
    internal virtual string? NotInName => null;

    /// <summary>What a filter filters; the node itself for anything else.</summary>
    public virtual BlockNode SkipFilters() => this;

    /// <summary>The world the node lives in.</summary>
    internal BlockEnvironment Environment { get; }

    /// <summary>The edge to the backing node; null without one. Changes only under drain.</summary>
    internal BlockEdge? BackingEdge => Volatile.Read(ref _backingEdge);

    /// <summary>The jobs that work on this image or read it; guarded by the topology lock.</summary>
    internal List<ChainClaim> Claims { get; } = [];

    /// <summary>Counts the requests inside; formats take epochs from it.</summary>
    internal RequestGate Gate { get; } = new();

    /// <summary>Edges to the children, in the order they were attached.</summary>
    internal IReadOnlyList<BlockEdge> Children
    {
        get
        {
            lock (Environment.TopologyLock)
            {
                return [.. _children];
            }
        }
    }

    /// <summary>Edges from the parents.</summary>
    internal IReadOnlyList<BlockEdge> Parents
    {
        get
        {
            lock (Environment.TopologyLock)
            {
                return [.. _parents];
            }
        }
    }

    /// <summary>
    /// Lets the node go. The last owner's call waits for requests, writes back what is dirty, closes the driver and lets the children go; calls after
    /// that do nothing. If closing fails, the first failure is thrown after everything has been let go.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        if (Interlocked.Decrement(ref _references) != 0)
        {
            return;
        }

        SetDoorFlag(DoorFlags.Disposed, set: true);
        using var haste = new Haste([this]);
        await Gate.WhenIdleAsync().ConfigureAwait(false);
        ExceptionDispatchInfo? failure = null;
        try
        {
            await CloseCoreAsync().ConfigureAwait(false);
        }
        catch (Exception error)
        {
            failure = ExceptionDispatchInfo.Capture(error);
        }

        foreach (BlockEdge edge in Children)
        {
            BlockNode child;
            lock (Environment.TopologyLock)
            {
                child = UnlinkLocked(edge); // frozen or not: the parent is gone
            }

            try
            {
                await child.DisposeAsync().ConfigureAwait(false);
            }
            catch (Exception error)
            {
                failure ??= ExceptionDispatchInfo.Capture(error); // one is told; what follows a failure usually follows from it
            }
        }

        failure?.Throw();
    }

    /// <inheritdoc/>
    public override string ToString() => $"{NodeName} ({DriverName}, {ByteSize.Format(Length)})";

    /// <summary>Another owner.</summary>
    internal void AddReference() => Interlocked.Increment(ref _references);

    /// <summary>The first edge with the given role; null if there is none.</summary>
    internal BlockEdge? FindChild(EdgeRole role)
    {
        lock (Environment.TopologyLock)
        {
            return _children.Find(edge => edge.Role == role);
        }
    }

    /// <summary>Announces the length; call it before the node is used, and under drain when it changes.</summary>
    private protected void SetLength(long length)
    {
        Volatile.Write(ref _length, length);
        ResizeBitmaps(length);
    }

    /// <summary>Hears that a child was resized; the child, and so this node, is drained.</summary>
    private protected virtual void OnChildLengthChanged(BlockEdge edge)
    {
    }

    /// <summary>Announces that a write grew the node to at least <paramref name="end"/>.</summary>
    private protected void RaiseLength(long end)
    {
        long seen = Volatile.Read(ref _length);
        while (end > seen)
        {
            long found = Interlocked.CompareExchange(ref _length, end, seen);
            if (found == seen)
            {
                GrowBitmaps(end);
                return;
            }

            seen = found;
        }
    }

    /// <summary>Announces the limits; call it before the node is used.</summary>
    private protected void SetLimits(BlockLimits limits)
    {
        Debug.Assert(BitOperations.IsPow2(limits.RequestAlignment), "an alignment is a power of two");
        Debug.Assert(limits.MaxTransfer >= Math.Max(limits.RequestAlignment, SectorSize), "a transfer holds at least one unit");
        Limits = limits;
        _maxTransfer = (int)Alignment.RoundDown(limits.MaxTransfer, limits.RequestAlignment);
        SetDoorFlag(DoorFlags.Unaligned, limits.RequestAlignment > 1);
    }

    // A filter shows its child's length, and the child may have been resized by somebody else than the filter.
    private protected void TellParentsOfLength()
    {
        foreach (BlockEdge edge in Parents)
        {
            long before = edge.Parent.Length;
            edge.Parent.OnChildLengthChanged(edge);
            if (edge.Parent.Length != before)
            {
                edge.Parent.TellParentsOfLength();
            }
        }
    }

    /// <summary>An error of this node, with its name and path filled in.</summary>
    private protected BlockLayerException Error(BlockErrorKind kind, string message, long? offset = null, Exception? cause = null)
        => new(kind, message, cause) { NodeName = NodeName, Path = Path, Offset = offset };

    /// <summary>Somebody waits for the requests inside: one that only waits for time goes on. Calls nest, and end with <see cref="EndHaste"/>.</summary>
    internal virtual void BeginHaste()
    {
    }

    /// <summary>Undoes one <see cref="BeginHaste"/>.</summary>
    internal virtual void EndHaste()
    {
    }

    /// <summary>Writes back what is dirty and releases what the driver holds besides its children. No request is in flight and none will come.</summary>
    private protected virtual ValueTask CloseCoreAsync() => ValueTask.CompletedTask;
}
