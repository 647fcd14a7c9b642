using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;
using BlockLayer.Storage;

namespace BlockLayer.Filters;

/// <summary>
/// A filter that fills an image from its backing chain as it is read, and the way in for a job that fills it entirely. Guests go on reading and writing.
/// </summary>
/// <remarks>
/// <para>What is allocated in the image, or provided only by images below <c>bottom</c>, is passed on: no claim, no allocation, no wait. For the rest the
/// <see cref="CopyQueue"/> decides who copies and who waits; the image itself stores a copy only where nothing is allocated.</para>
/// <para>The source of a copy is the chain <i>below</i> the image, never the image's own view: what lies below does not change, so bytes fetched at any
/// time are right to store at any later time, whatever guests wrote, discarded or zeroed in between.</para>
/// <para>A store that follows an answered read counts as a request inside: drain and close wait for it, and a flush waits for those before it.</para>
/// <para>Where the image cannot be written, or shares no right to write what is read anyway, reads pass through uncopied. They also pass while another
/// filter of this kind stands right below, a job's: one queue decides.</para>
/// </remarks>
public sealed partial class CopyOnReadNode : FilterNode
{
    private const ImagePermissions Reads = ImagePermissions.ConsistentRead;

    private readonly CopyQueue _queue;
    private readonly GuestPriority _guests;
    private ChainFreeze? _freeze; // constant after construction

    private CopyOnReadNode(BlockNode image, BlockNode? bottom, CopyOnReadOptions options, ImagePermissions needs, ImagePermissions shares)
        : base(image.NodeName, image, needs, shares)
    {
        Bottom = bottom;
        CanCopy = (needs & ImagePermissions.WriteUnchanged) != 0;
        _queue = new CopyQueue(Math.Max(CopyQueue.MinUnitSize, image.Limits.ClusterSize), options.MemoryLimit, options.Strategy);
        _guests = new GuestPriority(image.Environment.Time, options.GuestsFirst);
    }

    /// <inheritdoc/>
    public override string DriverName => "copy-on-read";

    /// <summary>The last image whose content is copied; null where all of the chain is.</summary>
    public BlockNode? Bottom { get; }

    /// <summary>False where reads pass through because the image takes no copies.</summary>
    public bool CanCopy { get; }

    /// <summary>What the filter has done so far.</summary>
    public CopyStatistics Statistics => _queue.Statistics;

    /// <summary>What is copied or left as a whole, in bytes.</summary>
    internal int CopyUnit => _queue.UnitSize;

    /// <summary>Who copies and who waits.</summary>
    internal CopyQueue Queue => _queue;

    private bool IsActive => CanCopy && Filtered.Child is not CopyOnReadNode;

    /// <summary>Guests before background work.</summary>
    internal GuestPriority Guests => _guests;

    /// <summary>Puts the filter on an image and takes over the caller's ownership of it.</summary>
    /// <param name="image">The image to fill.</param>
    /// <param name="bottom">The last image of its chain whose content is copied; null: all of them. The links down to it stay as they are while the filter lives.</param>
    /// <param name="options">How; null: the defaults.</param>
    /// <exception cref="BlockLayerException">NotFound: <paramref name="bottom"/> is not in the chain of the image.</exception>
    public static CopyOnReadNode Create(BlockNode image, BlockNode? bottom = null, CopyOnReadOptions? options = null)
    {
        bottom = bottom?.SkipFilters();
        if (bottom is not null && !BackingChain.Images(image).Contains(bottom))
        {
            throw new BlockLayerException(BlockErrorKind.NotFound, $"'{bottom.NodeName}' is not in the backing chain of '{image.NodeName}'.") { NodeName = image.NodeName };
        }

        CopyOnReadNode node = CreateCore(image, bottom, options ?? new CopyOnReadOptions());
        node._freeze = bottom is null ? null : ChainFreeze.Between(image, bottom, $"copy-on-read down to '{bottom.NodeName}'");
        return node;
    }

    private static CopyOnReadNode CreateCore(BlockNode image, BlockNode? bottom, CopyOnReadOptions options)
    {
        const ImagePermissions Guest = ImagePermissions.Write | ImagePermissions.Resize;
        ImagePermissions copy = image.Limits.SupportsPopulate ? ImagePermissions.WriteUnchanged : ImagePermissions.None;
        ImagePermissions[] wishes = image.IsReadOnly ? [] : [Reads | copy | Guest, Reads | copy];
        foreach (ImagePermissions needs in wishes)
        {
            try
            {
                return new CopyOnReadNode(image, bottom, options, needs, shares: Reads | ImagePermissions.WriteUnchanged);
            }
            catch (BlockLayerException error) when (error.Kind == BlockErrorKind.Conflict)
            {
                continue; // another user of the image does not share that; less may do
            }
        }

        return new CopyOnReadNode(image, bottom, options, Reads, shares: Reads | ImagePermissions.WriteUnchanged);
    }

    /// <summary>The filter of a job, beside the image's present users; <see cref="FilterInsertion"/> then puts it between.</summary>
    /// <exception cref="BlockLayerException">Conflict: another user of the image does not share the right to store copies; ReadOnly.</exception>
    internal static CopyOnReadNode CreateForJob(BlockNode image, BlockNode bottom, CopyOnReadOptions options, string job)
        => new(image, bottom, options, Reads | ImagePermissions.WriteUnchanged, ImagePermissions.All) { Job = job };

    /// <summary>What the job calls itself that fills the image through this filter; null where only reads do.</summary>
    internal string? Job { get; private init; }

    private protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
    {
        if (!IsActive)
        {
            return base.ReadCoreAsync(offset, buffer, flags, cancellationToken);
        }

        ValueTask<bool> allocated = IsAllocatedAsync(new ByteRange(offset, buffer.Length), cancellationToken);
        return allocated.IsCompletedSuccessfully && allocated.Result
            ? _guests.Counted(base.ReadCoreAsync(offset, buffer, flags, cancellationToken))
            : _guests.Counted(ReadLackingAsync(allocated.IsCompletedSuccessfully ? new ValueTask<bool>(false) : allocated, offset, buffer, cancellationToken));
    }

    private protected override ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        if (!IsActive)
        {
            return base.WriteCoreAsync(offset, buffer, flags, cancellationToken);
        }

        ValueTask<bool> allocated = IsAllocatedAsync(new ByteRange(offset, buffer.Length), cancellationToken);
        return allocated.IsCompletedSuccessfully && allocated.Result
            ? _guests.Counted(base.WriteCoreAsync(offset, buffer, flags, cancellationToken))
            : _guests.Counted(WriteClaimedAsync(allocated.IsCompletedSuccessfully ? new ValueTask<bool>(false) : allocated, offset, buffer, flags, cancellationToken));
    }

    private protected override ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
        => IsActive ? _guests.Counted(ZeroClaimedAsync(offset, length, flags, cancellationToken)) : base.WriteZeroesCoreAsync(offset, length, flags, cancellationToken);

    private protected override ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
        => IsActive ? _guests.Counted(DiscardClaimedAsync(offset, length, cancellationToken)) : base.DiscardCoreAsync(offset, length, cancellationToken);

    private protected override async ValueTask FlushCoreAsync(CancellationToken cancellationToken)
    {
        await _queue.WhenStoredAsync().ConfigureAwait(false);
        await base.FlushCoreAsync(cancellationToken).ConfigureAwait(false);
    }

    private protected override ValueTask ResizeCoreAsync(long length, ResizeOptions options, CancellationToken cancellationToken)
        => Job is null
            ? base.ResizeCoreAsync(length, options, cancellationToken)
            : throw Error(BlockErrorKind.Conflict, $"'{NodeName}' cannot be resized while {Job} fills it.");

    private protected override ValueTask CloseCoreAsync()
    {
        _freeze?.Dispose();
        return base.CloseCoreAsync();
    }

    private async ValueTask WriteClaimedAsync(
        ValueTask<bool> allocated,
        long offset,
        ReadOnlyMemory<byte> buffer,
        WriteFlags flags,
        CancellationToken cancellationToken)
    {
        if (await allocated.ConfigureAwait(false))
        {
            await base.WriteCoreAsync(offset, buffer, flags, cancellationToken).ConfigureAwait(false);
            return;
        }

        while (!buffer.IsEmpty)
        {
            int piece = PieceAt(offset, buffer.Length);
            using (await _queue.EnterGuestAsync(new ByteRange(offset, piece), cancellationToken).ConfigureAwait(false))
            {
                await base.WriteCoreAsync(offset, buffer[..piece], flags, cancellationToken).ConfigureAwait(false);
            }

            cancellationToken = CancellationToken.None; // bytes were submitted: the request runs to its end
            offset += piece;
            buffer = buffer[piece..];
        }
    }

    // Zeroes and discards move no data and need no memory, so they are one piece however long they are.
    private async ValueTask ZeroClaimedAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        using GuestClaim claim = await _queue.EnterGuestAsync(new ByteRange(offset, length), cancellationToken).ConfigureAwait(false);
        await base.WriteZeroesCoreAsync(offset, length, flags, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask DiscardClaimedAsync(long offset, long length, CancellationToken cancellationToken)
    {
        using GuestClaim claim = await _queue.EnterGuestAsync(new ByteRange(offset, length), cancellationToken).ConfigureAwait(false);
        await base.DiscardCoreAsync(offset, length, cancellationToken).ConfigureAwait(false);
    }

    // How much of a request is served as one piece: up to the next multiple of the piece length, so that pieces share no unit.
    private int PieceAt(long offset, int length) => (int)Math.Min(length, _queue.MaxPiece - (offset & (_queue.MaxPiece - 1)));

    private async ValueTask<bool> IsAllocatedAsync(ByteRange range, CancellationToken cancellationToken)
    {
        while (!range.IsEmpty)
        {
            BlockStatus status = await Filtered.GetStatusAsync(range.Offset, range.Length, StatusDepth.Node, cancellationToken).ConfigureAwait(false);
            if (!status.IsAllocated)
            {
                return false;
            }

            range = new ByteRange(range.Offset + status.Length, range.Length - status.Length);
        }

        return true;
    }
}
