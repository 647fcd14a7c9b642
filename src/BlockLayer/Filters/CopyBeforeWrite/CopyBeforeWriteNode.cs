using System.Runtime.ExceptionServices;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;
using BlockLayer.Storage;

namespace BlockLayer.Filters;

/// <summary>
/// Keeps a target at the content that a disk had when the filter was inserted: before a guest changes a unit that is not saved yet, its old content is copied
/// to the target.
/// </summary>
/// <remarks>
/// <para>A unit's bit says that it is still to be saved. It is cleared when the target has the unit, and never set again. So a guest whose range has no bit
/// set takes no claim and waits for nobody.</para>
/// <para>Who saves a unit, a guest before its write or the job, holds an exclusive claim on it and looks at the bit again. A guest writes only after its range
/// has no bit left, so nobody ever reads a unit to save it while a guest changes it, unless the target is void by then.</para>
/// </remarks>
internal sealed class CopyBeforeWriteNode : FilterNode
{
    /// <summary>The most that is copied at once.</summary>
    internal const int MaxPiece = 1024 * 1024;

    /// <summary>The most that <see cref="Timeout"/> may be; timers take no more.</summary>
    internal static readonly TimeSpan LongestTimeout = TimeSpan.FromDays(49);

    private const ImagePermissions Reads = ImagePermissions.ConsistentRead;

    private readonly RangeClaims _claims = new();
    private readonly CopyBeforeWritePolicy _policy;
    private readonly string _job;
    private BlockEdge _target = null!; // constant from the attachment
    private long _saved;        // interlocked; bytes
    private Exception? _broken; // interlocked; why the target no longer has what the disk had

    /// <summary>Stands on an image, and takes over the caller's ownership of it. Before it is used it gets its target (<see cref="AttachTarget"/>).</summary>
    /// <param name="image">The disk; drained, so that what it holds now is what is saved.</param>
    /// <param name="unsaved">What is to be saved; its granularity is no smaller than the target's cluster. The filter clears its bits.</param>
    /// <param name="policy">What happens when something cannot be saved in time.</param>
    /// <param name="job">Who inserts it, for messages.</param>
    internal CopyBeforeWriteNode(BlockNode image, DirtyBitmap unsaved, CopyBeforeWritePolicy policy, string job)
        : base(image.NodeName, image, Reads, ImagePermissions.All)
    {
        Unsaved = unsaved;
        _policy = policy;
        _job = job;
    }

    /// <inheritdoc/>
    public override string DriverName => "copy-before-write";

    /// <summary>What is still to be saved.</summary>
    internal DirtyBitmap Unsaved { get; }

    /// <summary>Bytes saved so far, zeroes included.</summary>
    internal long SavedBytes => Interlocked.Read(ref _saved);

    /// <summary>How long a guest waits for what it is about to overwrite to be saved; 0: as long as it takes.</summary>
    internal TimeSpan Timeout { get; init; }

    /// <summary>Called when the target is void from now on.</summary>
    internal Action? OnBroken { get; init; }

    /// <summary>Requests of guests that wait, for whoever makes way for them.</summary>
    internal GuestPriority Guests { get; init; } = new(TimeProvider.System, limit: 1);

    /// <summary>The edge to what holds the saved content.</summary>
    internal BlockEdge Target => _target;

    /// <summary>Attaches the target and takes over the caller's ownership of it. No part of the construction: a filter that is refused its target is closed, and so lets the image go.</summary>
    /// <param name="target">Of the image's length.</param>
    /// <exception cref="BlockLayerException">Conflict: another user of the target does not share what is needed; ReadOnly.</exception>
    internal void AttachTarget(BlockNode target) => _target = Attach(target, EdgeRole.Secondary, Reads | ImagePermissions.Write, Reads);

    /// <exception cref="BlockLayerException">A guest went on although what it overwrote could not be saved.</exception>
    internal void ThrowIfBroken()
    {
        if (Volatile.Read(ref _broken) is { } error)
        {
            ExceptionDispatchInfo.Throw(error);
        }
    }

    /// <summary>Saves a range for the job, as a request that comes from outside: a drain waits for it, and holds it back.</summary>
    /// <param name="range">What is saved, with whole units around it.</param>
    /// <param name="cancellationToken">Honoured until a unit is read.</param>
    internal async ValueTask<CopyOutcome> SaveForJobAsync(ByteRange range, CancellationToken cancellationToken)
    {
        int slot = await EnterAsync(Origin.Door, cancellationToken).ConfigureAwait(false);
        try
        {
            return await SaveAsync(range, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Gate.Exit(slot);
        }
    }

    // Copies what is not saved yet of a range, whole units around it. What somebody else is saving is waited for.
    private async ValueTask<CopyOutcome> SaveAsync(ByteRange range, CancellationToken cancellationToken)
    {
        long stored = 0;
        long end = Math.Min(Alignment.RoundUp(range.End, Unsaved.Granularity), Length);
        for (long at = Alignment.RoundDown(range.Offset, Unsaved.Granularity); NextUnsaved(at, end) is { } run; at = run.End)
        {
            run = run with { Length = Math.Min(run.Length, Math.Max(MaxPiece, Unsaved.Granularity)) };
            using RangeClaims.Claim claim = await _claims.EnterAsync(run, ClaimMode.Exclusive, cancellationToken).ConfigureAwait(false);
            for (long from = run.Offset; NextUnsaved(from, run.End) is { } piece; from = piece.End)
            {
                CopyOutcome outcome = await CopyAsync(piece).ConfigureAwait(false);
                if (outcome.Error is not null)
                {
                    return outcome with { StoredBytes = stored };
                }

                Unsaved.Clear(piece.Offset, piece.Length);
                Interlocked.Add(ref _saved, piece.Length);
                stored += piece.Length;
            }
        }

        return new CopyOutcome(stored, null, default);
    }

    private protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
        => Guests.Counted(base.ReadCoreAsync(offset, buffer, flags, cancellationToken));

    private protected override ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
        => Guests.Counted(IsSaved(offset, buffer.Length) ? base.WriteCoreAsync(offset, buffer, flags, cancellationToken) : WriteSavedAsync(offset, buffer, flags, cancellationToken));

    private protected override ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
        => Guests.Counted(IsSaved(offset, length) ? base.WriteZeroesCoreAsync(offset, length, flags, cancellationToken) : ZeroSavedAsync(offset, length, flags, cancellationToken));

    private protected override ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
        => Guests.Counted(IsSaved(offset, length) ? base.DiscardCoreAsync(offset, length, cancellationToken) : DiscardSavedAsync(offset, length, cancellationToken));

    private protected override ValueTask ResizeCoreAsync(long length, ResizeOptions options, CancellationToken cancellationToken)
        => throw Error(BlockErrorKind.Conflict, $"'{NodeName}' cannot be resized while {_job} saves its content.");

    private async ValueTask WriteSavedAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        await SaveForGuestAsync(new ByteRange(offset, buffer.Length), cancellationToken).ConfigureAwait(false);
        await base.WriteCoreAsync(offset, buffer, flags, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask ZeroSavedAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        await SaveForGuestAsync(new ByteRange(offset, length), cancellationToken).ConfigureAwait(false);
        await base.WriteZeroesCoreAsync(offset, length, flags, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask DiscardSavedAsync(long offset, long length, CancellationToken cancellationToken)
    {
        await SaveForGuestAsync(new ByteRange(offset, length), cancellationToken).ConfigureAwait(false);
        await base.DiscardCoreAsync(offset, length, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask SaveForGuestAsync(ByteRange range, CancellationToken cancellationToken)
    {
        CopyOutcome outcome = await (Timeout == TimeSpan.Zero ? SaveAsync(range, cancellationToken) : SaveInTimeAsync(range, cancellationToken)).ConfigureAwait(false);
        if (outcome.Error is not { } error)
        {
            return;
        }

        string what = error is TimeoutException ? "saved in time" : outcome.FailedStep == CopyStep.Read ? $"read from '{NodeName}'" : $"stored into '{_target.Child.NodeName}'";
        var told = new BlockLayerException(
            (error as BlockLayerException)?.Kind ?? BlockErrorKind.Io,
            $"The content at {range.Offset} that {_job} has to save before it is overwritten could not be {what}: {error.Message}",
            error) { NodeName = NodeName, Path = Path, Offset = range.Offset };
        if (_policy == CopyBeforeWritePolicy.BreakGuestWrite)
        {
            throw told;
        }

        Interlocked.CompareExchange(ref _broken, told, null);
        Unsaved.Clear(); // there is nothing left to keep; later writes go their way
        OnBroken?.Invoke();
    }

    // Whichever is first: what was saved, or the end of the time. A save that is late goes on, and a drain waits for it.
    private async ValueTask<CopyOutcome> SaveInTimeAsync(ByteRange range, CancellationToken cancellationToken)
    {
        var first = new Waiter<bool>();
        ValueTask<bool> isSaved = first.Task;
        Task<CopyOutcome> save = SaveForAsync(first, range);
        ITimer timer = Environment.Time.CreateTimer(static state => Tell((Waiter<bool>)state!, isSaved: false), first, Timeout, System.Threading.Timeout.InfiniteTimeSpan);
        await using (timer.ConfigureAwait(false))
        {
            first.ArmCancellation(cancellationToken);
            return await isSaved.ConfigureAwait(false)
                ? await save.ConfigureAwait(false)
                : new CopyOutcome(0, new TimeoutException($"it takes longer than {Timeout.TotalSeconds:0.###} seconds."), CopyStep.Write);
        }
    }

    private async Task<CopyOutcome> SaveForAsync(Waiter<bool> guest, ByteRange range)
    {
        int slot = await EnterAsync(Origin.Edge, CancellationToken.None).ConfigureAwait(false); // as part of the guest's request, which nothing holds back any more
        try
        {
            return await SaveAsync(range, CancellationToken.None).ConfigureAwait(false);
        }
        finally
        {
            Gate.Exit(slot);
            Tell(guest, isSaved: true);
        }
    }

    private static void Tell(Waiter<bool> guest, bool isSaved)
    {
        if (guest.TryGrant(isSaved))
        {
            ReadyList.Post(guest);
        }
    }

    private bool IsSaved(long offset, long length)
        => length == 0 || !Unsaved.IsAnyDirty(offset, length);

    private ByteRange? NextUnsaved(long from, long end)
        => Unsaved.NextDirty(from) is { } run && run.Offset < end ? run with { Length = Math.Min(run.End, end) - run.Offset } : null;

    // The range is claimed, and nobody changes it.
    private async ValueTask<CopyOutcome> CopyAsync(ByteRange range)
    {
        CopyStep step = CopyStep.Read;
        try
        {
            while (!range.IsEmpty)
            {
                BlockStatus status = await Filtered.GetStatusAsync(range.Offset, range.Length, StatusDepth.Chain, CancellationToken.None).ConfigureAwait(false);
                long length = Math.Min(status.Length, range.Length);
                if (status.IsZero)
                {
                    step = CopyStep.Write;
                    await _target.WriteZeroesAsync(range.Offset, length, ZeroFlags.MayUnmap, CancellationToken.None).ConfigureAwait(false);
                }
                else
                {
                    length = Math.Min(length, MaxPiece);
                    using PooledBuffer buffer = Environment.Buffers.Rent((int)length);
                    await Filtered.ReadAsync(range.Offset, buffer.Memory, CancellationToken.None).ConfigureAwait(false);
                    step = CopyStep.Write;
                    await _target.WriteAsync(range.Offset, buffer.Memory, CancellationToken.None).ConfigureAwait(false);
                }

                step = CopyStep.Read;
                range = new ByteRange(range.Offset + length, range.Length - length);
            }

            return default;
        }
        catch (Exception error)
        {
            return new CopyOutcome(0, error, step);
        }
    }
}
