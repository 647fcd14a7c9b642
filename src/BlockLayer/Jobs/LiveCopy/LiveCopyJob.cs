using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Requests;
using BlockLayer.Storage;

namespace BlockLayer.Jobs;

/// <summary>
/// Makes a target equal to a disk under guests who go on, keeps it equal, and in the end changes the disk over to it, or leaves it as a copy of one moment.
/// </summary>
/// <remarks>
/// <code>
///   map what is lacking -> copy -> equal: flush target -> READY -> copy what guests change
///                                                            |
///        Complete, or Cancel without force:  guests write both sides -> nothing lacking, seen under a drain -> WAITING, PENDING: kept equal
///                                                            |
///             drained:  nothing lacking -> graph change cannot fail -> target flushed -> user told -> graph switched (or target let go) -> event
/// </code>
/// <para>Until the switch the disk's chain is the old one and complete, and the target's state is nobody's business; from the switch on the target holds, durably, all that
/// guests were ever promised. So a job that fails, is cancelled, or dies with its process leaves a disk that works.</para>
/// <para>Guests never fail for the target. An error there, or of the source, is the job's, by its policies: where it stops, what could not be copied is marked as lacking and tried again
/// when it is resumed, be it ready or not. Once it is <see cref="JobState.Waiting"/> or <see cref="JobState.Pending"/> it stops for nothing: both sides are kept equal, and an error of
/// the target fails the job at once, under every policy.</para>
/// </remarks>
public abstract partial class LiveCopyJob : BlockJob
{
    private readonly LiveCopyOptions _options;
    private LiveCopyNode? _node;      // from set-up to the switch or clean-up
    private IReadOnlyList<string> _files = []; // from set-up on; the disk's, before the job
    private int _copyMode;            // volatile; MirrorCopyMode
    private volatile Ending _ending;
    private volatile Exception? _targetFailure; // under a guest's write; the job fails for it
    private Exception? _ignored;      // the first error that was ignored
    private bool _isCareful;          // after an error that was ignored: unit by unit
    private volatile bool _isMapped;
    private volatile bool _isReady;
    private long _copied;             // interlocked
    private long _left;               // volatile; bytes that were still lacking when the filter was taken out

    private protected LiveCopyJob(BlockNode disk, LiveCopyOptions options)
        : base(options, disk)
    {
        _options = options;
        _copyMode = (int)options.CopyMode;
        Image = disk.SkipFilters();
    }

    private enum Ending
    {
        None,
        Switch,
        LetGo,
    }

    /// <summary>The newest image of the disk when the job began: the source.</summary>
    public BlockNode Image { get; }

    /// <summary>What is made equal to it. Closed when the job is over, unless the disk was changed over to it.</summary>
    public abstract BlockNode Target { get; }

    /// <summary>True once the disk was changed over to the target.</summary>
    public bool HasSwitched { get; private set; }

    /// <summary>True once the target holds, durably, all that the disk showed at the end of the job.</summary>
    private protected bool IsCopyWhole { get; private set; }

    /// <summary>Bytes that were copied so far, zeroes included; what guests wrote to both sides is not among them.</summary>
    public long CopiedBytes => Interlocked.Read(ref _copied);

    /// <summary>How guests' writes reach the target; see <see cref="ChangeCopyMode"/>.</summary>
    public MirrorCopyMode CopyMode => (MirrorCopyMode)Volatile.Read(ref _copyMode);

    /// <summary>True while guests' changes go to both sides and nothing is lacking in the target; QMP's <c>actively-synced</c>.</summary>
    public bool IsActivelySynced => _isMapped && _node is { IsBlocking: true, LackingBytes: 0 };

    /// <summary>How the job's filter is made; a test makes one that is broken.</summary>
    internal Func<LiveCopySetup, LiveCopyNode> NodeFactory { get; init; } = static setup => new LiveCopyNode(setup);

    private protected override long End => _isMapped ? CopiedBytes + (_node?.LackingBytes ?? Volatile.Read(ref _left)) : Image.Length;

    /// <summary>Sends guests' writes to both sides from now on.</summary>
    /// <param name="mode"><see cref="MirrorCopyMode.WriteBlocking"/>; there is no way back.</param>
    /// <exception cref="JobVerbException">The job's work is over.</exception>
    /// <exception cref="BlockLayerException">Unsupported: it would go back to copying in the background.</exception>
    public void ChangeCopyMode(MirrorCopyMode mode)
    {
        if (!JobVerbs.IsAllowed(JobVerb.Change, State))
        {
            throw JobVerbException.NotIn(this, JobVerb.Change, State);
        }

        if (mode != MirrorCopyMode.WriteBlocking && CopyMode == MirrorCopyMode.WriteBlocking)
        {
            throw Refusal(BlockErrorKind.Unsupported, Image, $"{this} keeps both sides equal as they are written; it does not go back to copying in the background.");
        }

        Volatile.Write(ref _copyMode, (int)mode);
        Kick();
    }

    private protected override void OnComplete()
    {
        if (_ending == Ending.LetGo)
        {
            throw new JobVerbException(this, JobVerb.Complete, State, "it was cancelled, and ends without changing the disk over");
        }

        _ending = Ending.Switch;
    }

    private protected override bool TryEndWell()
    {
        if (State is not (JobState.Ready or JobState.Standby))
        {
            return false;
        }

        _ending = Ending.LetGo;
        return true;
    }

    /// <summary>Makes sure, under the change that sets the job up, that the source is still the disk's newest image.</summary>
    private protected void ThrowIfOvertaken() => NewestImage.Require(Disk, Image);

    /// <summary>The filters of the image that go with it when the disk is changed over: those that fill it. What stands above them stays.</summary>
    private protected static BlockNode TopOf(BlockNode image)
    {
        BlockNode top = image;
        while (top.Parents is [{ Parent: CopyOnReadNode above }])
        {
            top = above;
        }

        return top;
    }

    /// <summary>Puts the job's filter between the source and its users, with the target at its side.</summary>
    /// <param name="change">A change that has drained the source.</param>
    /// <param name="source">The image, or the uppermost filter that goes with it.</param>
    /// <param name="target">On success the filter owns it; on failure the caller still does.</param>
    /// <param name="copiesWholeUnits"><inheritdoc cref="LiveCopyNode.AttachTarget" path="/param[@name='copiesWholeUnits']"/></param>
    private protected async ValueTask InsertFilterAsync(GraphChange change, BlockNode source, BlockNode target, bool copiesWholeUnits)
    {
        ThrowIfTied(source);
        source.AddReference();
        LiveCopyNode node;
        try
        {
            node = NodeFactory(new LiveCopySetup(source, GranularityBits(target, copiesWholeUnits), _options.GuestsFirst, ToString())
            {
                TargetFailed = OnTargetFailed,
                Marked = Kick,
            });
        }
        catch
        {
            await source.DisposeAsync().ConfigureAwait(false);
            throw;
        }

        try
        {
            target.AddReference();
            try
            {
                node.AttachTarget(target, copiesWholeUnits);
            }
            catch
            {
                await target.DisposeAsync().ConfigureAwait(false);
                throw;
            }

            await FilterInsertion.InsertAsync(
                change, source, node, ImagePermissions.ConsistentRead, ImagePermissions.All & ~ImagePermissions.Resize).ConfigureAwait(false);
        }
        catch
        {
            await node.DisposeAsync().ConfigureAwait(false);
            throw;
        }

        (_files, _node) = (JobFiles.NamesOf(BackingChain.Images(Image)), node);
        await target.DisposeAsync().ConfigureAwait(false); // one reference of two: the filter's stays
    }

    /// <summary>The job's filter; null before it was put in place and after it was taken out.</summary>
    private protected LiveCopyNode? Filter => _node;

    private protected override async ValueTask CleanUpAsync()
    {
        if (_node is { } node)
        {
            using GraphChange change = await GraphChange.BeginAsync(node, CancellationToken.None).ConfigureAwait(false);
            await RemoveFilterAsync(node).ConfigureAwait(false);
        }
    }

    private protected override JobFiles DescribeFiles()
    {
        IReadOnlyList<string> needed = JobFiles.NamesOf(BackingChain.Images(HasSwitched ? Target : Image));
        return new JobFiles { Needed = needed, Unneeded = [.. _files.Except(needed)] };
    }

    /// <summary>Takes the filter out, and lets go of the target. The caller holds a change that has drained the filter.</summary>
    private protected async ValueTask RemoveFilterAsync(LiveCopyNode node)
    {
        Volatile.Write(ref _left, node.LackingBytes);
        _node = null;
        await FilterInsertion.RemoveAsync(node).ConfigureAwait(false);
        await CloseUnneededAsync(node).ConfigureAwait(false); // the target is durable, or of no value
    }

    /// <summary>A bitmap of the source in the units that are copied.</summary>
    private protected DirtyBitmap NewBitmap(BlockNode target, bool copiesWholeUnits) => new(Image.Length, GranularityBits(target, copiesWholeUnits));

    private int GranularityBits(BlockNode target, bool copiesWholeUnits)
    {
        const int Smallest = 4 * 1024;
        const int Largest = 64 * 1024 * 1024;
        int usual = Math.Max(64 * 1024, Math.Max(Image.Limits.ClusterSize, target.Limits.ClusterSize));
        int granularity = _options.Granularity ?? usual;
        if (granularity is < Smallest or > Largest || !int.IsPow2(granularity))
        {
            throw new ArgumentException($"A granularity of {granularity} bytes is not a power of two from {Smallest} to {Largest}.");
        }

        if (copiesWholeUnits)
        {
            granularity = Math.Max(granularity, target.Limits.ClusterSize); // what is not copied of a cluster would read as zeroes
        }

        int bits = int.Log2(granularity);
        while (_options.Granularity is null && !DirtyBitmap.CanCover(Image.Length, bits))
        {
            bits++;
        }

        return bits;
    }

    // A filter that compares the disk with another image, or keeps one equal to it by its own log, would be left with the wrong one.
    private void ThrowIfTied(BlockNode node)
    {
        foreach (BlockNode parent in node.Parents.Select(static edge => edge.Parent))
        {
            if (parent is MirrorNode or VerifyNode or CopyOnReadNode or LiveCopyNode)
            {
                throw Refusal(
                    BlockErrorKind.Conflict, Image, $"{this} cannot change '{Image.NodeName}' over to another image: a {parent.DriverName} filter above it works on that very image.");
            }

            ThrowIfTied(parent);
        }
    }

    private JobErrorAction DecideAbout(CopyStep step, Exception error)
        => HandleError(step, error, step == CopyStep.Write ? _options.OnTargetError ?? _options.OnError : _options.OnError);

    // What fails the job does not fail the guest under whose write it was found.
    private void OnTargetFailed(Exception error)
    {
        Exception? failure;
        try
        {
            failure = DecideAbout(CopyStep.Write, error) == JobErrorAction.Report ? error : null;
        }
        catch (Exception refusal)
        {
            failure = refusal; // a handler's, which ends the job
        }

        if (failure is not null)
        {
            _targetFailure ??= failure;
            Fail(failure); // at once: it may be waiting for others, or for its user
        }

        if (_node is { } node)
        {
            node.IsBlocking = false; // until the job has looked at it
        }

        Kick();
    }

    private protected static BlockLayerException Refusal(BlockErrorKind kind, BlockNode image, string message)
        => new(kind, message) { NodeName = image.NodeName, Path = image.Path };
}
