using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Storage;

namespace BlockLayer.Jobs;

/// <summary>Live block copy: makes another image equal to a disk, and in the end changes the disk over to it or leaves it as a copy of one moment.</summary>
/// <inheritdoc cref="LiveCopyJob" path="/remarks"/>
public sealed class MirrorJob : LiveCopyJob
{
    private readonly MirrorJobOptions _options;
    private readonly BlockNode _target;
    private ChainClaim? _source; // from set-up to clean-up
    private ChainClaim? _copy;   // from set-up to clean-up
    private bool _isOverlay;     // of the source, which becomes its backing node
    private IReadOnlyList<string> _targetFiles = []; // from set-up on

    /// <summary>A job to copy a disk.</summary>
    /// <param name="disk">The disk's root, or its newest image.</param>
    /// <param name="target">
    /// Where to: open for writing, at least as long, used by nobody else. Once the job has started it owns the target; a start that fails leaves it the caller's.
    /// </param>
    /// <param name="options">How; null: all of it, in the background.</param>
    public MirrorJob(BlockNode disk, BlockNode target, MirrorJobOptions? options = null)
        : base(disk, options ??= new MirrorJobOptions())
    {
        _options = options;
        _target = target;
    }

    /// <inheritdoc/>
    public override string Kind => "mirror";

    /// <inheritdoc/>
    public override BlockNode Target => _target.SkipFilters();

    private protected override bool? IsSynced => IsActivelySynced; // as in QEMU not of an active commit

    private protected override async ValueTask SetUpAsync(CancellationToken cancellationToken)
    {
        using GraphChange change = await GraphChange.BeginAsync(Image, cancellationToken).ConfigureAwait(false);
        ThrowIfOvertaken();
        ThrowIfUnfit(); // now that nobody makes the disk longer
        _targetFiles = JobFiles.NamesOf(Target);
        BlockEdge? shared = await PrepareBackingAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            _source = ChainClaim.Take(Image, LowestInUse(), ToString());
            _copy = ChainClaim.Take(Target, Target, ToString());
            await InsertFilterAsync(change, TopOf(Image), _target, copiesWholeUnits: _isOverlay).ConfigureAwait(false);
        }
        catch
        {
            LetClaimsGo();
            if (shared is not null)
            {
                await Target.DetachAsync(shared).ConfigureAwait(false);
            }

            throw;
        }
    }

    private protected override ValueTask MapAsync(LiveCopyNode node, CancellationToken cancellationToken) => _options.Scope switch
    {
        MirrorScope.Full => MapAsync(node, range => IsLackingAsync(node, range, cancellationToken), cancellationToken),
        MirrorScope.Top => MapAsync(node, range => IsInTopAsync(node, range, cancellationToken), cancellationToken),
        _ => ValueTask.CompletedTask,
    };

    // What guests wrote there they will flush in the target, which knows nothing of it.
    private protected override ValueTask SettleSourceAsync(GraphChange change)
        => _isOverlay ? NodeReopen.SettleAsync(change, Image) : ValueTask.CompletedTask;

    private protected override async ValueTask OnSwitchedAsync(GraphChange change)
    {
        LetClaimsGo();
        if (_isOverlay)
        {
            Image.AddReference();
            Target.AttachBacking(Image);
            await FollowUpAsync(() => NodeReopen.MakeReadOnlyAsync(change, Image)).ConfigureAwait(false);
        }
    }

    private protected override JobFiles DescribeFiles()
        => IsCopyWhole ? base.DescribeFiles() with { Changed = _targetFiles } : base.DescribeFiles() with { Invalid = _targetFiles };

    private protected override async ValueTask CleanUpAsync()
    {
        await base.CleanUpAsync().ConfigureAwait(false);
        LetClaimsGo();
    }

    // What the disk is changed over from goes, unless the target stands on it too; so no other job may be at work there.
    private BlockNode LowestInUse()
        => _options.Scope == MirrorScope.Top ? Image.Backing?.SkipFilters() ?? Image : BackingChain.Images(Image).Last();

    private void LetClaimsGo()
    {
        _source?.Dispose();
        _copy?.Dispose();
    }

    private async ValueTask<(bool IsLacking, long Length)> IsLackingAsync(LiveCopyNode node, ByteRange range, CancellationToken cancellationToken)
    {
        BlockStatus source = await node.GetSourceStatusAsync(Origin.Door, range, cancellationToken).ConfigureAwait(false);
        if (!source.IsZero || _options.TargetIsZero)
        {
            return (!source.IsZero, source.Length);
        }

        BlockStatus target = await node.GetTargetStatusAsync(range with { Length = source.Length }, cancellationToken).ConfigureAwait(false);
        return (!target.IsZero, target.Length);
    }

    private async ValueTask<(bool IsLacking, long Length)> IsInTopAsync(LiveCopyNode node, ByteRange range, CancellationToken cancellationToken)
    {
        BlockStatus status = await node.GetSourceStatusAsync(Image, range, cancellationToken).ConfigureAwait(false);
        return (status.IsAllocated, status.Length);
    }

    private void ThrowIfUnfit()
    {
        if (Target == Image || BackingChain.Images(Image).Contains(Target))
        {
            throw Refusal(BlockErrorKind.Conflict, Target, $"'{Target.NodeName}' is part of the disk that is to be copied into it.");
        }

        if (_target.IsReadOnly)
        {
            throw Refusal(BlockErrorKind.ReadOnly, Target, $"'{Target.NodeName}' is open read-only and cannot be copied into.");
        }

        if (Target.Length < Image.Length)
        {
            throw Refusal(
                BlockErrorKind.OutOfRange, Target, $"'{Target.NodeName}' is {Target.Length} bytes long and cannot hold the {Image.Length} bytes of '{Image.NodeName}'; grow it first.");
        }

        ThrowIfNotWithinReach(Image, _options.Scope);
        Target.ThrowIfNotWithinReach();
    }

    /// <summary>Asks the part of a disk that is copied whether all was given that it takes to read it.</summary>
    /// <exception cref="BlockLayerException">Denied, as for <see cref="BackingChain.ThrowIfNotWithinReach"/>.</exception>
    internal static void ThrowIfNotWithinReach(BlockNode image, MirrorScope scope)
    {
        if (scope != MirrorScope.None)
        {
            BackingChain.ThrowIfNotWithinReach(image, scope == MirrorScope.Top ? image : null);
        }
    }

    // What the target stands on. Returns the link to the source's backing node if it was made.
    private async ValueTask<BlockEdge?> PrepareBackingAsync(CancellationToken cancellationToken)
    {
        switch (_options.Scope)
        {
            case MirrorScope.Top when Target.Backing is null && Target.BackingReference is { } recorded:
                BlockNode backing = Image.Backing ?? throw Refusal(
                    BlockErrorKind.Conflict, Target, $"'{Target.NodeName}' records the backing file {recorded}, and '{Image.NodeName}' has none: only what that holds itself is to be copied.");
                ThrowIfNotNamed(backing.SkipFilters());
                await ShareBackingAsync(backing, cancellationToken).ConfigureAwait(false);
                return Target.BackingEdge;
            case MirrorScope.Top:
                ThrowIfOnAnother();
                return null;
            case MirrorScope.None when Target.Backing is null && Target.BackingReference is not null:
                ThrowIfNoOverlay();
                _isOverlay = true;
                return null;
            default:
                if (Target.Backing is null && Target.BackingReference is { } unopened)
                {
                    throw Refusal(BlockErrorKind.Conflict, Target, $"'{Target.NodeName}' records the backing file {unopened}, which is not open: what is read of it is not what it holds.");
                }

                return null;
        }
    }

    private async ValueTask ShareBackingAsync(BlockNode backing, CancellationToken cancellationToken)
    {
        backing.AddReference();
        try
        {
            Target.AttachBacking(backing);
        }
        catch
        {
            await backing.DisposeAsync().ConfigureAwait(false); // a job that writes it does not share it
            throw;
        }

        try
        {
            await (Target is IVerifiesBacking verifier ? verifier.VerifyBackingAsync(backing, cancellationToken) : ValueTask.CompletedTask).ConfigureAwait(false);
        }
        catch
        {
            await Target.DetachAsync(Target.BackingEdge!).ConfigureAwait(false);
            throw;
        }
    }

    private void ThrowIfNoOverlay()
    {
        ThrowIfNotNamed(Image);
        if (Target is IVerifiesBacking)
        {
            throw Refusal(BlockErrorKind.Unsupported, Target, $"'{Target.NodeName}' ({Target.DriverName}) notes what its backing file holds, which a guest is changing.");
        }

        if (TopOf(Image) != Image)
        {
            throw Refusal(BlockErrorKind.Conflict, Image, $"'{Image.NodeName}' is filled as it is read, and cannot become the backing file of '{Target.NodeName}' meanwhile.");
        }
    }

    private void ThrowIfNotNamed(BlockNode backing) => BackingName.ReferenceTo(Target, backing, Target.BackingReference!.Name);

    private void ThrowIfOnAnother()
    {
        BlockNode? wanted = Image.Backing?.SkipFilters();
        BlockNode? found = Target.Backing?.SkipFilters();
        if (wanted == found || (wanted is not null && found is not null && IdentityOf(wanted) is { } file && IdentityOf(found) == file))
        {
            return;
        }

        string what = wanted is null ? "no backing file" : $"the backing file '{wanted.NodeName}'";
        throw Refusal(
            BlockErrorKind.Conflict, Target, $"Only what '{Image.NodeName}' holds itself is to be copied, so '{Target.NodeName}' has to stand on {what} too; it stands on {(found is null ? "none" : $"'{found.NodeName}'")}.");
    }

    private static StorageIdentity? IdentityOf(BlockNode image) => image.Path is { } path ? image.Environment.Files.GetInfo(path)?.Identity : null;
}
