using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;
using BlockLayer.Storage;

namespace BlockLayer.Filters;

/// <summary>
/// The filter of a job that makes a target equal to a source under guests who go on: it shows the source, knows what the target lacks, and copies it when the job says so.
/// </summary>
/// <remarks>
/// <list type="number">
/// <item>What the target may lack is marked in <see cref="Dirty"/>. A change of the source alone is marked when it has ended, however it ended; whoever clears a mark and
/// then reads the source misses nothing, because a change that this reading did not see is marked after it.</item>
/// <item>A copy clears the marks of its range, reads and writes under an exclusive claim on it, and sets them again when it fails. So two copies of a range, or a copy and
/// a change of both sides, reach the target one after the other.</item>
/// <item>Where guests' changes go to both sides (<see cref="IsBlocking"/>), each holds an exclusive claim on its range and marks it only when one side failed. A discard
/// is carried out as zeroes then, because each side could choose differently.</item>
/// </list>
/// <para>The source alone answers guests: what happens on the target never fails them, and their flushes are the source's. So until the job has made the target
/// durable, the target is worth nothing after a crash, and the source everything.</para>
/// </remarks>
internal partial class LiveCopyNode : FilterNode
{
    /// <summary>The longest run of bytes that is moved at once.</summary>
    internal const int MaxPiece = 1024 * 1024;

    private const ImagePermissions Reads = ImagePermissions.ConsistentRead;

    private readonly LiveCopySetup _setup;
    private readonly RangeClaims _order = new();
    private BlockEdge? _target;      // constant from the attachment to the pivot
    private bool _copiesWholeUnits;  // constant from the attachment
    private volatile bool _isBlocking;
    private int _isWatched;          // interlocked; 1: the next mark is told
    private long _inFlight;          // interlocked; bytes of copies under way

    /// <summary>Puts the filter on a source and takes over the caller's ownership of it. It needs nothing yet but to read.</summary>
    internal LiveCopyNode(LiveCopySetup setup)
        : base(setup.Source.NodeName, setup.Source, Reads, ImagePermissions.All)
    {
        _setup = setup;
        Dirty = new DirtyBitmap(setup.Source.Length, setup.GranularityBits);
        Guests = new GuestPriority(setup.Source.Environment.Time, setup.GuestsFirst);
    }

    /// <inheritdoc/>
    public override string DriverName => "live-copy";

    /// <summary>What the target may lack.</summary>
    internal DirtyBitmap Dirty { get; }

    /// <summary>Guests before background work.</summary>
    internal GuestPriority Guests { get; }

    /// <summary>What is made equal to the source.</summary>
    internal BlockNode Target => _target!.Child;

    /// <summary>Bytes that the target may lack, those included that are being copied.</summary>
    internal long LackingBytes => Dirty.CountDirtyBytes() + Interlocked.Read(ref _inFlight);

    /// <summary>True: a guest's change completes when both sides have it. A change of this holds for requests that come afterwards.</summary>
    internal bool IsBlocking
    {
        get => _isBlocking;
        set => _isBlocking = value;
    }

    /// <summary>Attaches the target and takes over the caller's ownership of it. Nobody else may change it from now on.</summary>
    /// <param name="target">At least as long as the source, or about to be grown.</param>
    /// <param name="copiesWholeUnits">
    /// True where what surrounds a change in the target is not what surrounds it in the source: whole units of <see cref="Dirty"/> are copied, never parts.
    /// </param>
    /// <exception cref="BlockLayerException">Conflict: another user of the target does not share what is needed; ReadOnly.</exception>
    internal void AttachTarget(BlockNode target, bool copiesWholeUnits)
    {
        const ImagePermissions Needs = Reads | ImagePermissions.Write | ImagePermissions.WriteUnchanged | ImagePermissions.Resize;
        _target = Attach(target, EdgeRole.Secondary, Needs, Reads | ImagePermissions.WriteUnchanged);
        _copiesWholeUnits = copiesWholeUnits;
    }

    /// <summary>Has the next mark told, once, by <see cref="LiveCopySetup.Marked"/>. Earlier marks are not: look at <see cref="Dirty"/> after the call.</summary>
    internal void Watch() => Interlocked.Exchange(ref _isWatched, 1);

    /// <summary>Makes the target longer; the caller has drained it.</summary>
    internal ValueTask GrowTargetAsync(long length, CancellationToken cancellationToken)
        => _target!.ResizeAsync(length, ResizeOptions.GrowOnly, cancellationToken);

    /// <summary>Makes everything durable in the target that was copied.</summary>
    internal async ValueTask FlushTargetAsync(Origin origin)
    {
        int slot = await EnterAsync(origin, CancellationToken.None).ConfigureAwait(false);
        try
        {
            await _target!.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        }
        finally
        {
            Gate.Exit(slot);
        }
    }

    /// <summary>Lets go of the target, which somebody else holds too, and shows it instead of the source. The filter is drained.</summary>
    /// <returns>The source, whose ownership passes to the caller.</returns>
    internal async ValueTask<BlockNode> ShowTargetAsync()
    {
        BlockNode target = Target;
        target.AddReference();
        await DetachAsync(_target!).ConfigureAwait(false);
        BlockNode source = Refilter(target);
        TellParentsOfLength();
        return source;
    }

    /// <summary>Marks a range as lacking in the target.</summary>
    internal virtual void Mark(ByteRange range, DirtyCause cause)
    {
        Dirty.Set(range.Offset, range.Length);
        if (Volatile.Read(ref _isWatched) != 0 && Interlocked.Exchange(ref _isWatched, 0) != 0)
        {
            _setup.Marked();
        }
    }

    private protected override bool GrowsOnWrite => false;

    private protected override ValueTask ResizeCoreAsync(long length, ResizeOptions options, CancellationToken cancellationToken)
        => throw Error(BlockErrorKind.Conflict, $"'{NodeName}' cannot be resized while {_setup.Job} copies it.");

    private protected override void OnChildLengthChanged(BlockEdge edge)
    {
        if (edge == Filtered)
        {
            base.OnChildLengthChanged(edge);
        }
    }
}
