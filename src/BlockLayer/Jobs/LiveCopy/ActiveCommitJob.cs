using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;
using BlockLayer.Storage;

namespace BlockLayer.Jobs;

/// <summary>
/// Writes what a disk's newest image and those below it hold into an older one, their base, under guests who go on; in the end the disk is changed over to the base, or keeps
/// its newest image.
/// </summary>
/// <remarks>
/// <para>A live copy (<see cref="LiveCopyJob"/>) whose target lies in the source's own chain. The base is written only with what the disk shows, so the chain reads right at
/// every moment, whoever ends the job and however. But the base by itself, and the images between it and the newest, do not show any more what they did: other overlays
/// of theirs are refused in this process, and destroyed elsewhere.</para>
/// <para>The base is opened for writing, and made as long as the disk, for the time of the job; it stays as long. A base that is longer makes the disk longer.</para>
/// <para>After a change over nothing above the base is needed. After a <see cref="BlockJob.Cancel"/> without force the newest image is, for what guests write from then on.</para>
/// </remarks>
public sealed class ActiveCommitJob : LiveCopyJob
{
    private readonly ActiveCommitOptions _options;
    private BlockNode _base = null!;      // from set-up on
    private BlockNode _overlay = null!;   // from set-up on; the image whose backing file is the base
    private IReadOnlyList<string> _between = []; // from set-up on; the files between the newest image and the base
    private BlockEdge? _link;             // from set-up to clean-up; the link to the base
    private ImagePermissions _linkShares; // what it shared before
    private readonly List<NodeReopen> _writable = []; // from set-up to clean-up
    private ChainClaim? _claim;           // from set-up to clean-up

    /// <summary>A job to commit a disk's newest images.</summary>
    /// <param name="disk">The disk's root, or its newest image.</param>
    /// <param name="options">How; null: all of the chain, into its lowest image.</param>
    public ActiveCommitJob(BlockNode disk, ActiveCommitOptions? options = null)
        : base(disk, options ??= new ActiveCommitOptions())
        => _options = options;

    /// <inheritdoc/>
    public override string Kind => "commit";

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The job was not started.</exception>
    public override BlockNode Target => _base ?? throw new InvalidOperationException($"{this} was not started: its base is not known yet.");

    /// <summary>What the job would work on. Refuses what the start would refuse, except that it does not ask who works there now.</summary>
    /// <exception cref="BlockLayerException">As for the start.</exception>
    /// <exception cref="ArgumentException">As for the start.</exception>
    internal JobScope Look()
    {
        _base = FindBase();
        ThrowIfUnfit();
        return new JobScope([.. BackingChain.Images(Image).TakeWhile(image => image != _base)], _base);
    }

    /// <summary>A bitmap as the job would use for what the base lacks, after <see cref="Look"/>.</summary>
    internal DirtyBitmap NewBitmap() => NewBitmap(_base, copiesWholeUnits: false);

    private protected override async ValueTask SetUpAsync(CancellationToken cancellationToken)
    {
        _base = FindBase();
        using GraphChange change = await GraphChange.BeginAsync(_base, cancellationToken).ConfigureAwait(false);
        ThrowIfUnfit();
        _between = JobFiles.NamesOf(BackingChain.Images(Image).Skip(1).TakeWhile(image => image != _base));
        _claim = ChainClaim.TakeWhole(Image, _base, ToString());
        try
        {
            await BackingKnowledge.ForgetAsync(change, BackingChain.Images(Image).TakeWhile(image => image != _base), _writable, cancellationToken).ConfigureAwait(false);
            _writable.Add(await NodeReopen.MakeWritableAsync(change, _base, cancellationToken).ConfigureAwait(false));
            BlockEdge link = LinkToBase();
            (_link, _linkShares) = (link, link.Shares);
            link.Parent.ChangePermissions(link, link.Needs, ImagePermissions.All); // the job writes below it
            _base.AddReference();
            try
            {
                await InsertFilterAsync(change, TopOf(Image), _base, copiesWholeUnits: false).ConfigureAwait(false);
            }
            catch
            {
                await _base.DisposeAsync().ConfigureAwait(false);
                throw;
            }

            if (_base.Length < Image.Length)
            {
                await Filter!.GrowTargetAsync(Image.Length, cancellationToken).ConfigureAwait(false);
            }

            _claim.Freeze();
        }
        catch (Exception reason)
        {
            await Aftermath.UndoAsync(reason, () => GiveBackAsync(change)).ConfigureAwait(false);
            throw;
        }
    }

    private protected override ValueTask MapAsync(LiveCopyNode node, CancellationToken cancellationToken)
        => MapAsync(node, range => IsAboveBaseAsync(node, range, cancellationToken), cancellationToken);

    private protected override async ValueTask CleanUpAsync()
    {
        using GraphChange change = await GraphChange.BeginAsync(_base, CancellationToken.None).ConfigureAwait(false);
        await GiveBackAsync(change).ConfigureAwait(false);
    }

    // The caller has drained the base. What the disk was changed over to stays writable.
    private async ValueTask GiveBackAsync(GraphChange change)
    {
        _claim?.Dispose();
        _claim = null;
        if (Filter is { } filter)
        {
            await RemoveFilterAsync(filter).ConfigureAwait(false);
        }

        if (HasSwitched)
        {
            return;
        }

        if (_link is { } link)
        {
            _link = null;
            link.Parent.ChangePermissions(link, link.Needs, _linkShares);
        }

        foreach (NodeReopen image in Enumerable.Reverse(_writable)) // the base first: what stands on it notes what it finds there, and that has to be durable
        {
            await image.RestoreAsync(change).ConfigureAwait(false);
        }

        _writable.Clear();
    }

    private protected override JobFiles DescribeFiles()
    {
        JobFiles files = base.DescribeFiles();
        return files with { Changed = JobFiles.NamesOf(_base), Invalid = _between, Unneeded = [.. files.Unneeded.Except(_between)] };
    }

    private async ValueTask<(bool IsLacking, long Length)> IsAboveBaseAsync(LiveCopyNode node, ByteRange range, CancellationToken cancellationToken)
    {
        BlockStatus status = await node.GetSourceStatusAsync(_overlay, range, cancellationToken).ConfigureAwait(false);
        return (status.IsAllocated, status.Length);
    }

    private BlockNode FindBase()
    {
        if (_options is { Base: not null, BaseName: not null })
        {
            throw new ArgumentException($"{nameof(ActiveCommitOptions.Base)} and {nameof(ActiveCommitOptions.BaseName)} are given; only one can be.");
        }

        BlockNode found = _options.BaseName is { } name
            ? BackingChain.FindByPath(Image, name)
            : _options.Base?.SkipFilters() ?? BackingChain.Images(Image).Last();
        return found == Image
            ? throw Refusal(BlockErrorKind.NotFound, Image, $"'{Image.NodeName}' cannot be committed into itself.")
            : found;
    }

    // The caller holds the graph as it is.
    private void ThrowIfUnfit()
    {
        ThrowIfOvertaken();
        _overlay = BackingChain.OverlayOf(Image, _base)
            ?? throw Refusal(BlockErrorKind.NotFound, _base, $"'{_base.NodeName}' is not in the backing chain of '{Image.NodeName}'.");
        if (_base.Backing is null && _base.BackingReference is { } unopened)
        {
            throw Refusal(BlockErrorKind.Conflict, _base, $"'{_base.NodeName}' records the backing file {unopened}, which is not open: what is read of the base is not what it holds.");
        }

        BackingChain.ThrowIfNotWithinReach(Image, _base);
        BlockNode above = Image;
        foreach (BlockNode image in BackingChain.Images(Image).Skip(1))
        {
            if (ChainUsers.Of(image).FirstOrDefault(user => user != above) is { } other)
            {
                throw Refusal(BlockErrorKind.Conflict, image, $"{this} changes what '{image.NodeName}' shows, which '{other.NodeName}' reads.");
            }

            if (image == _base)
            {
                return;
            }

            above = image;
        }
    }

    // The link whose child the base is, whatever filters stand in between.
    private BlockEdge LinkToBase()
    {
        BlockEdge link = _overlay.BackingEdge!;
        while (link.Child is FilterNode filter)
        {
            link = filter.Filtered;
        }

        return link;
    }
}
