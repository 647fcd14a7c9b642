using System.Runtime.ExceptionServices;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;
using BlockLayer.Storage;

namespace BlockLayer.Filters;

/// <summary>
/// blkmirror: shows a source and keeps a destination equal to it. Reads come from the source, changes go to both; what happens when the destination fails is
/// an option. With a log, a mirror that a crash tore is found and repaired when it is opened again.
/// </summary>
/// <remarks>
/// <para>The source is the truth wherever the sides may differ: a repair copies it over the destination, and reads are answered by it.</para>
/// <list type="number">
/// <item>A change holds an exclusive claim on its range until both sides have answered. So changes that overlap reach both sides in the same order.</item>
/// <item>A region is noted in the log, durably, before the first change in it reaches either side, and cleared only after both sides were flushed, whatever
/// guests' flushes cover. So sides that differ after a crash differ in noted regions only.</item>
/// <item>A discard is carried out as zeroes: a side may choose to leave what it discards, and the other may not.</item>
/// </list>
/// <para>The log says nothing of changes that somebody makes to one side while the mirror is closed.</para>
/// </remarks>
public sealed partial class MirrorNode : FilterNode
{
    private const ImagePermissions Reads = ImagePermissions.ConsistentRead;
    private const ImagePermissions Writes = Reads | ImagePermissions.Write | ImagePermissions.Resize;
    private const ImagePermissions Shares = Reads | ImagePermissions.WriteUnchanged;

    private readonly MirrorOptions _options;
    private readonly RangeClaims _order = new();
    private readonly AsyncLock _repairTurn = new();
    private readonly AsyncLock _cleanTurn = new();
    private readonly Lock _gate = new();
    private BlockEdge _destination = null!;  // constant once open
    private MirrorRegions _regions = null!;  // constant once open
    private ITimer? _timer;                  // constant once open; null where nothing can be cleaned
    private bool _isOpen;                    // constant once open; what fails to open has nothing to clean when it closes
    private bool _isTimed;                   // guarded by _gate; the timer will call
    private int _state;                      // volatile, changed under _gate; MirrorState
    private Exception? _destinationError;    // guarded by _gate; the first since the destination was good
    private Exception? _late;                // interlocked; a failure behind an acknowledged write, for the next flush to tell
    private int _behind;                     // interlocked; bytes that follow to the destination

    private MirrorNode(BlockNode source, MirrorOptions options, ImagePermissions needs, ImagePermissions shares)
        : base(source.NodeName, source, needs, shares)
        => _options = options;

    /// <inheritdoc/>
    public override string DriverName => "blkmirror";

    /// <summary>The side that is kept equal.</summary>
    public BlockNode Destination => _destination.Child;

    /// <summary>How the mirror is.</summary>
    public MirrorStatus Status
    {
        get
        {
            (long dirty, long differing, long repaired) = _regions.Bytes;
            lock (_gate)
            {
                return new MirrorStatus(State, dirty, differing, repaired, _destinationError);
            }
        }
    }

    private MirrorState State => (MirrorState)Volatile.Read(ref _state);

    /// <summary>
    /// Opens a mirror. What its sides may not agree on is copied first, see <see cref="MirrorOptions.Sync"/>. On success the mirror owns all three nodes, on
    /// failure the caller still does.
    /// </summary>
    /// <param name="source">What is shown; where it is read-only, so is the mirror.</param>
    /// <param name="destination">At least as long.</param>
    /// <param name="log">An empty file, or the log of this pair; null: a crash makes the destination void.</param>
    /// <param name="options">How; null: the defaults.</param>
    /// <param name="cancellationToken">Honoured between the pieces that are copied; a copy that was begun is taken up by the next open.</param>
    /// <exception cref="ArgumentException">The region size does not suit the disk.</exception>
    /// <exception cref="ImageFormatException">The file that is to be the log is something else, or damaged. It was not changed.</exception>
    /// <exception cref="BlockLayerException">OutOfRange (the destination is shorter), Conflict (somebody else uses a side), ReadOnly, NoSpace, Io.</exception>
    public static ValueTask<MirrorNode> OpenAsync(
        BlockNode source,
        BlockNode destination,
        BlockNode? log = null,
        MirrorOptions? options = null,
        CancellationToken cancellationToken = default)
        => OpenAsync(source, destination, log, options ?? new MirrorOptions(), NeedsOf(source), Shares, cancellationToken);

    private protected override bool GrowsOnWrite => false;

    private static ImagePermissions NeedsOf(BlockNode source) => source.IsReadOnly ? Reads : Writes | ImagePermissions.WriteUnchanged;

    private static async ValueTask<MirrorNode> OpenAsync(
        BlockNode source,
        BlockNode destination,
        BlockNode? log,
        MirrorOptions options,
        ImagePermissions needs,
        ImagePermissions shares,
        CancellationToken cancellationToken)
    {
        if (destination.Length < source.Length)
        {
            throw new BlockLayerException(
                BlockErrorKind.OutOfRange,
                $"'{destination.NodeName}' is {destination.Length} bytes long and cannot mirror the {source.Length} bytes of '{source.NodeName}'; grow it first.")
            {
                NodeName = destination.NodeName,
                Path = destination.Path,
            };
        }

        // A node that fails half-way lets go what it had taken; these references keep it for the caller.
        BlockNode[] taken = log is null ? [source, destination] : [source, destination, log];
        Array.ForEach(taken, static node => node.AddReference());
        MirrorNode? mirror = null;
        try
        {
            mirror = new MirrorNode(source, options, needs, shares);
            await mirror.StartAsync(destination, log, cancellationToken).ConfigureAwait(false);
        }
        catch when (mirror is not null)
        {
            await mirror.AbandonAsync(taken).ConfigureAwait(false);
            throw;
        }
        catch
        {
            await ReleaseAsync(taken).ConfigureAwait(false);
            throw;
        }

        await ReleaseAsync(taken).ConfigureAwait(false);
        return mirror;
    }

    private async ValueTask StartAsync(BlockNode destination, BlockNode? log, CancellationToken cancellationToken)
    {
        if (!IsReadOnly && destination.IsReadOnly)
        {
            throw Error(BlockErrorKind.ReadOnly, $"'{destination.NodeName}' is open read-only and cannot mirror '{NodeName}', which is written.");
        }

        var found = log is null ? null : await MirrorLog.LoadAsync(log, cancellationToken).ConfigureAwait(false);
        _destination = Attach(destination, EdgeRole.Secondary, destination.IsReadOnly ? Reads : Writes, Shares);
        BlockEdge? notes = log is null ? null : Attach(log, EdgeRole.Log, log.IsReadOnly && IsReadOnly ? Reads : Writes, Reads);
        SetLimits(LimitsOf(Filtered.Child.Limits, destination.Limits));

        UInt128 pair = MirrorLogHeader.PairOf(RealPathOf(Filtered.Child), RealPathOf(destination));
        bool known = found is { } stored && stored.Header.Regions.Length == Length && stored.Header.Pair == pair;
        RegionGeometry geometry = known ? found!.Value.Header.Regions : RegionGeometry.Choose(Length, _options.RegionSize);
        var differing = new RegionSet(geometry.Count);
        if (known)
        {
            differing.CopyFrom(found!.Value.Dirty);
        }
        else if (_options.Sync != MirrorSync.AssumeEqual)
        {
            differing.AddAll();
        }

        bool writesLog = log is { IsReadOnly: false };
        _regions = new MirrorRegions(geometry, writesLog ? notes : null, pair, differing);
        if (!known)
        {
            await _regions.CreateLogAsync().ConfigureAwait(false);
        }

        _timer = Environment.Time.CreateTimer(static mirror => _ = ((MirrorNode)mirror!).CleanInBackgroundAsync(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        if (_options.Sync != MirrorSync.Later && !destination.IsReadOnly && differing.Count > 0)
        {
            await RepairAsync(progress: null, cancellationToken).ConfigureAwait(false);
        }

        _isOpen = true;
    }

    private static async ValueTask ReleaseAsync(BlockNode[] nodes)
    {
        foreach (BlockNode node in nodes)
        {
            await node.DisposeAsync().ConfigureAwait(false);
        }
    }

    // The mirror's own references go, the caller's stay: what closing fails with is nothing beside what opening failed with.
    private async ValueTask AbandonAsync(BlockNode[] taken)
    {
        bool tookDestination = _destination is not null;
        bool tookLog = FindChild(EdgeRole.Log) is not null;
        await DisposeAsync().ConfigureAwait(false);
        for (int i = 0; i < taken.Length; i++)
        {
            bool took = i == 0 || (i == 1 ? tookDestination : tookLog);
            if (!took)
            {
                await taken[i].DisposeAsync().ConfigureAwait(false);
            }
        }
    }

    private string? RealPathOf(BlockNode node) => node.Path is { } path ? Environment.Files.GetRealPath(path) : null;

    // Requests reach both sides in the stricter of both sides' units, so that neither has to read and write around them on its own.
    private static BlockLimits LimitsOf(BlockLimits source, BlockLimits destination) => source with
    {
        RequestAlignment = Math.Max(source.RequestAlignment, destination.RequestAlignment),
        MaxTransfer = Math.Max(Math.Min(source.MaxTransfer, destination.MaxTransfer), Math.Max(source.RequestAlignment, destination.RequestAlignment)),
        DiscardGranularity = Math.Max(source.DiscardGranularity, destination.DiscardGranularity),
        ZeroGranularity = Math.Max(source.ZeroGranularity, destination.ZeroGranularity),
        SupportsCompressedWrites = false,
    };

    private protected override async ValueTask CloseCoreAsync()
    {
        if (_timer is not null)
        {
            await _timer.DisposeAsync().ConfigureAwait(false);
        }

        if (!_isOpen || IsReadOnly || State == MirrorState.Stopped)
        {
            return;
        }

        await CleanAsync(sparesRecent: false).ConfigureAwait(false);
        if (FindChild(EdgeRole.Log) is { } log)
        {
            await log.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        }
    }

    private protected override async ValueTask ResizeCoreAsync(long length, ResizeOptions options, CancellationToken cancellationToken)
    {
        ThrowIfStopped();
        await _regions.NoteEverythingAsync().ConfigureAwait(false);
        bool both = State == MirrorState.Mirroring;
        if (both && length > Length)
        {
            // Never shorter than the source, not even after a crash; and what a longer one holds past the old end is not zero.
            if (_destination.Child.Length > Length)
            {
                await _destination.ResizeAsync(Length, new ResizeOptions { AllowShrink = true }, cancellationToken).ConfigureAwait(false);
            }

            await _destination.ResizeAsync(length, options, cancellationToken).ConfigureAwait(false);
            await _destination.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        }

        await Filtered.ResizeAsync(length, options, cancellationToken).ConfigureAwait(false);
        if (both && length < _destination.Child.Length)
        {
            await Filtered.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            await _destination.ResizeAsync(length, options, CancellationToken.None).ConfigureAwait(false);
        }

        await _regions.ResizeAsync(length).ConfigureAwait(false);
        ArmTimer();
    }

    private protected override void OnChildLengthChanged(BlockEdge edge)
    {
        if (edge == Filtered)
        {
            base.OnChildLengthChanged(edge);
        }
    }

    /// <summary>The destination failed: what that means is the caller's choice in the options.</summary>
    private void NoteDestinationFailure(Exception error)
    {
        lock (_gate)
        {
            _destinationError ??= error;
            MirrorState state = _options.OnDestinationError switch
            {
                MirrorErrorPolicy.Detach => MirrorState.Detached,
                MirrorErrorPolicy.Stop => MirrorState.Stopped,
                _ => MirrorState.Mirroring,
            };
            Volatile.Write(ref _state, (int)state);
        }
    }

    private void ThrowIfStopped()
    {
        if (State == MirrorState.Stopped)
        {
            Exception cause = Status.DestinationError!;
            BlockErrorKind kind = (cause as BlockLayerException)?.Kind ?? BlockErrorKind.Io;
            throw Error(
                kind,
                $"'{NodeName}' takes no changes until it is opened again, because its mirror '{Destination.NodeName}' failed: {cause.Message}",
                cause: cause);
        }
    }

    /// <summary>Waits for one side and hands over what it failed with, so that the other side is always waited for too.</summary>
    private static async ValueTask<Exception?> TryAsync(ValueTask request, FirstFailure first)
    {
        try
        {
            await request.ConfigureAwait(false);
            return null;
        }
        catch (Exception error)
        {
            first.Offer(error);
            return error;
        }
    }

    /// <summary>The failure that came first of two requests in flight.</summary>
    private sealed class FirstFailure
    {
        private Exception? _error;

        internal void Offer(Exception error) => Interlocked.CompareExchange(ref _error, error, null);

        internal void Throw()
        {
            if (_error is { } error)
            {
                ExceptionDispatchInfo.Throw(error);
            }
        }
    }
}
