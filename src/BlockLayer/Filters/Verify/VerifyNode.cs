using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;
using BlockLayer.Storage;

namespace BlockLayer.Filters;

/// <summary>
/// blkverify: a node under test and a reference that has to agree with it. Changes go to both, reads are compared, and the first byte that differs fails the read
/// with <see cref="ContentMismatchException"/>.
/// </summary>
/// <remarks>
/// <para>Guests see the node under test; the reference is something simple, such as a raw image of the same content.</para>
/// <list type="bullet">
/// <item>A change keeps overlapping requests out until both sides have answered, so both take changes in one order and a read sees both at one moment.</item>
/// <item>A discard is the tested node's choice between zeroes and what was there, byte by byte. It is held to that choice, and the reference follows.</item>
/// <item>After a change that failed, its range is not compared until a later change covers it: it may hold old or new bytes on either side.</item>
/// </list>
/// </remarks>
public sealed class VerifyNode : FilterNode
{
    private const int DiscardPiece = 256 * 1024;
    private const ImagePermissions Reads = ImagePermissions.ConsistentRead;
    private const ImagePermissions Writes = Reads | ImagePermissions.Write | ImagePermissions.WriteUnchanged | ImagePermissions.Resize;
    private const ImagePermissions Shares = Reads | ImagePermissions.WriteUnchanged;

    private readonly RangeClaims _order = new();
    private readonly UndecidedRanges _undecided = new();
    private BlockEdge _reference = null!; // constant once open

    private VerifyNode(BlockNode tested)
        : base(tested.NodeName, tested, tested.IsReadOnly ? Reads : Writes, Shares)
    {
    }

    /// <inheritdoc/>
    public override string DriverName => "blkverify";

    /// <summary>What the tested node has to agree with.</summary>
    public BlockNode Reference => _reference.Child;

    /// <summary>Puts the filter on two nodes of equal length and content. On success it owns both, on failure the caller still does.</summary>
    /// <exception cref="BlockLayerException">OutOfRange: the lengths differ. Conflict: somebody else uses a side. ReadOnly: the reference cannot follow the changes of the other.</exception>
    public static async ValueTask<VerifyNode> CreateAsync(BlockNode tested, BlockNode reference)
    {
        if (tested.Length != reference.Length)
        {
            throw new BlockLayerException(
                BlockErrorKind.OutOfRange,
                $"'{tested.NodeName}' is {tested.Length} bytes long and '{reference.NodeName}' {reference.Length}; what is compared has one length.")
            {
                NodeName = tested.NodeName,
                Path = tested.Path,
            };
        }

        var verify = new VerifyNode(tested);
        try
        {
            verify._reference = verify.Attach(reference, EdgeRole.Secondary, tested.IsReadOnly ? Reads : Writes, Shares);
        }
        catch
        {
            tested.AddReference(); // the caller's, which the failed filter would let go
            await verify.DisposeAsync().ConfigureAwait(false);
            throw;
        }

        int alignment = Math.Max(tested.Limits.RequestAlignment, reference.Limits.RequestAlignment);
        verify.SetLimits(tested.Limits with
        {
            RequestAlignment = alignment,
            MaxTransfer = Math.Max(alignment, Math.Min(tested.Limits.MaxTransfer, reference.Limits.MaxTransfer)),
            SupportsCompressedWrites = false,
        });
        return verify;
    }

    private protected override bool GrowsOnWrite => false;

    private protected override async ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
    {
        var range = new ByteRange(offset, buffer.Length);
        using RangeClaims.Claim claim = await _order.EnterAsync(range, ClaimMode.Shared, cancellationToken).ConfigureAwait(false);
        using PooledBuffer expected = Environment.Buffers.Rent(buffer.Length);
        await BothAsync(
            Filtered.ReadAsync(offset, buffer, CancellationToken.None, flags),
            _reference.ReadAsync(offset, expected.Memory, CancellationToken.None)).ConfigureAwait(false);
        foreach (ByteRange known in _undecided.KnownPartsOf(range))
        {
            (int start, int length) = ((int)(known.Offset - offset), (int)known.Length);
            SideComparison.ThrowIfDifferent(
                known.Offset, Filtered.Child, buffer.Span.Slice(start, length), _reference.Child, expected.Span.Slice(start, length));
        }
    }

    private protected override ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
        => ChangeAsync(
            new ByteRange(offset, buffer.Length),
            () => BothAsync(
                Filtered.WriteAsync(offset, buffer, CancellationToken.None, flags),
                _reference.WriteAsync(offset, buffer, CancellationToken.None)),
            cancellationToken);

    private protected override ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
        => ChangeAsync(
            new ByteRange(offset, length),
            async () =>
            {
                // Whether the tested node can do without data is its own affair; the reference only has to follow.
                await Filtered.WriteZeroesAsync(offset, length, flags, CancellationToken.None).ConfigureAwait(false);
                await _reference.WriteZeroesAsync(offset, length, flags & ~ZeroFlags.NoFallback, CancellationToken.None).ConfigureAwait(false);
            },
            cancellationToken);

    private protected override ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
        => ChangeAsync(
            new ByteRange(offset, length),
            async () =>
            {
                await Filtered.DiscardAsync(offset, length, CancellationToken.None).ConfigureAwait(false);
                for (long end = offset + length; offset < end; offset += DiscardPiece)
                {
                    await FollowDiscardAsync(new ByteRange(offset, DiscardPiece).ClampTo(end)).ConfigureAwait(false);
                }
            },
            cancellationToken);

    private protected override ValueTask FlushCoreAsync(CancellationToken cancellationToken)
        => BothAsync(Filtered.FlushAsync(cancellationToken), _reference.FlushAsync(cancellationToken));

    private protected override async ValueTask ResizeCoreAsync(long length, ResizeOptions options, CancellationToken cancellationToken)
    {
        // The reference is never the shorter one, whatever fails.
        if (length > _reference.Child.Length)
        {
            await _reference.ResizeAsync(length, options, cancellationToken).ConfigureAwait(false);
        }

        await Filtered.ResizeAsync(length, options, cancellationToken).ConfigureAwait(false);
        if (length < _reference.Child.Length)
        {
            await _reference.ResizeAsync(length, new ResizeOptions { AllowShrink = true }, CancellationToken.None).ConfigureAwait(false);
        }
    }

    private protected override void OnChildLengthChanged(BlockEdge edge)
    {
        if (edge == Filtered)
        {
            base.OnChildLengthChanged(edge);
        }
    }

    private async ValueTask ChangeAsync(ByteRange range, Func<ValueTask> change, CancellationToken cancellationToken)
    {
        using RangeClaims.Claim claim = await _order.EnterAsync(range, ClaimMode.Exclusive, cancellationToken).ConfigureAwait(false);
        try
        {
            await change().ConfigureAwait(false);
        }
        catch
        {
            _undecided.Add(range);
            throw;
        }

        _undecided.Remove(range);
    }

    // Whatever is known of the range must be zero now or as the reference has it, which then takes over what was chosen.
    private async ValueTask FollowDiscardAsync(ByteRange range)
    {
        using PooledBuffer found = Environment.Buffers.Rent((int)range.Length);
        using PooledBuffer before = Environment.Buffers.Rent((int)range.Length);
        await BothAsync(
            Filtered.ReadAsync(range.Offset, found.Memory, CancellationToken.None),
            _reference.ReadAsync(range.Offset, before.Memory, CancellationToken.None)).ConfigureAwait(false);
        foreach (ByteRange known in _undecided.KnownPartsOf(range))
        {
            int end = (int)(known.End - range.Offset);
            for (int at = (int)(known.Offset - range.Offset); at < end; at++)
            {
                if (found.Span[at] != 0)
                {
                    SideComparison.ThrowIfDifferent(
                        range.Offset + at, Filtered.Child, found.Span.Slice(at, 1), _reference.Child, before.Span.Slice(at, 1));
                }
            }
        }

        if (!found.Span.SequenceEqual(before.Span))
        {
            await _reference.WriteAsync(range.Offset, found.Memory, CancellationToken.None).ConfigureAwait(false);
        }
    }

    // Waits for both even if one fails: buffers are free only then. The tested node's failure is the more interesting one.
    private static async ValueTask BothAsync(ValueTask tested, ValueTask reference)
    {
        Task other = reference.AsTask();
        try
        {
            await tested.ConfigureAwait(false);
        }
        catch
        {
            await other.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            throw;
        }

        await other.ConfigureAwait(false);
    }
}
