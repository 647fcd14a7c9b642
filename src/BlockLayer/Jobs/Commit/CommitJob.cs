using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.Jobs;

/// <summary>
/// Writes what an image and those below it hold into an older image, their base, and then makes the base the backing file of whatever stood on the first.
/// Guests go on reading and writing the disk, whose newest image stays as it is.
/// </summary>
/// <remarks>
/// <para>The base is written only where an image above it decides what is read, and is given just that. So the chain reads right at every moment, and a job that was
/// cancelled, failed or killed leaves a chain that works. But the base by itself, and the images between it and the top, do not show any more what they
/// did (<see cref="JobFiles"/>): other overlays of theirs are refused in this process, and destroyed elsewhere.</para>
/// <para>The base is opened for writing, and made as long as the top, for the time of the job. It stays as long.</para>
/// <para>Success is told only after, in this order: everything is copied; the change of the graph cannot fail any more; the base is durable; the header of the image
/// above the top names the base, durably; the graph is switched. Where several images stand on the top, each is switched as soon as its header is written.</para>
/// </remarks>
public sealed partial class CommitJob : BlockJob
{
    private readonly CommitOptions _options;
    private readonly BlockNode _active;
    private BlockNode _top = null!;    // from set-up on
    private BlockNode _base = null!;   // from set-up on
    private BlockNode[] _images = [];  // from set-up on; from the top down to the last above the base
    private readonly List<NodeReopen> _writable = [];
    private IReadOnlyList<string> _topFiles = []; // from set-up on
    private IReadOnlyList<string> _between = [];  // from set-up on; the files of the images between the top and the base
    private ChainClaim? _claim;        // from set-up until everything is given back
    private CommitBaseNode? _filter;   // from set-up to the switch
    private GuestCountNode? _guests;   // from set-up until everything is given back
    private long _end;
    private long _copied;              // interlocked
    private bool _isBaseChanged;

    /// <summary>A job to commit images below a disk's newest.</summary>
    /// <param name="disk">The newest image, or a filter above it such as the root of a disk.</param>
    /// <param name="options">Which images, and how.</param>
    public CommitJob(BlockNode disk, CommitOptions options)
        : base(options, disk)
    {
        _options = options;
        _active = disk.SkipFilters();
    }

    /// <inheritdoc/>
    public override string Kind => "commit";

    /// <summary>Bytes that were written into the base so far, zeroes included.</summary>
    public long CopiedBytes => Interlocked.Read(ref _copied);

    private protected override long End => Volatile.Read(ref _end);

    /// <summary>What the job would work on. Refuses what the start would refuse, except that it does not ask who works there now.</summary>
    /// <exception cref="BlockLayerException">As for the start.</exception>
    /// <exception cref="ArgumentException">As for the start.</exception>
    internal JobScope Look()
    {
        (_top, _base) = FindTopAndBase();
        _images = [.. BackingChain.Images(_top).TakeWhile(image => image != _base)];
        ThrowIfUnfit();
        return new JobScope(_images, _base);
    }

    private protected override async ValueTask SetUpAsync(CancellationToken cancellationToken)
    {
        (_top, _base) = FindTopAndBase();
        using GraphChange change = await GraphChange.BeginAsync(_base, cancellationToken).ConfigureAwait(false);
        if (Disk.SkipFilters() != _active || FindTopAndBase() != (_top, _base))
        {
            throw Refusal(BlockErrorKind.Conflict, _active, $"The backing chain of '{_active.NodeName}' was just changed by another job.");
        }

        _images = [.. BackingChain.Images(_top).TakeWhile(image => image != _base)];
        ThrowIfUnfit();
        _topFiles = JobFiles.NamesOf(_top);
        _between = JobFiles.NamesOf(_images[1..]);
        _claim = ChainClaim.TakeWhole(_top, _base, ToString());
        try
        {
            await BackingKnowledge.ForgetAsync(change, _images, _writable, cancellationToken).ConfigureAwait(false);
            _writable.Add(await NodeReopen.MakeWritableAsync(change, _base, cancellationToken).ConfigureAwait(false));
            await InsertFiltersAsync(change).ConfigureAwait(false);
            if (_base.Length < _top.Length)
            {
                await _filter!.GrowAsync(_top.Length, cancellationToken).ConfigureAwait(false);
                _isBaseChanged = true;
            }

            _claim.Freeze();
        }
        catch (Exception reason)
        {
            await Aftermath.UndoAsync(reason, () => GiveBackAsync(change)).ConfigureAwait(false);
            throw;
        }

        Volatile.Write(ref _end, _base.Length);
    }

    private protected override async ValueTask CleanUpAsync()
    {
        if (_claim is not null)
        {
            using GraphChange change = await GraphChange.BeginAsync(_base, CancellationToken.None).ConfigureAwait(false);
            await GiveBackAsync(change).ConfigureAwait(false);
        }
    }

    private protected override JobFiles DescribeFiles()
    {
        IReadOnlyList<string> needed = JobFiles.NamesOf(BackingChain.Images(Disk)); // a snapshot may have put an image on top meanwhile
        IReadOnlyList<string> invalid = _isBaseChanged ? _between : [];
        return new JobFiles
        {
            Needed = needed,
            Unneeded = [.. _topFiles.Concat(_between).Except(needed).Except(invalid)],
            Changed = _isBaseChanged ? JobFiles.NamesOf(_base) : [],
            Invalid = invalid,
        };
    }

    private (BlockNode Top, BlockNode Base) FindTopAndBase()
    {
        if (_options is { Top: not null, TopName: not null } or { Base: not null, BaseName: not null })
        {
            throw new ArgumentException("An image is given both as a node and by its name; only one can be.");
        }

        BlockNode top = (_options.TopName is { } topName ? BackingChain.FindByPath(_active, topName) : _options.Top?.SkipFilters())
            ?? throw new ArgumentException($"{nameof(CommitOptions.Top)} or {nameof(CommitOptions.TopName)} has to say what is committed.");
        if (top == _active)
        {
            throw Refusal(BlockErrorKind.Unsupported, top, $"'{top.NodeName}' is the disk's newest image, which guests write: this job commits images below it.");
        }

        if (!BackingChain.IsBelow(_active, top))
        {
            throw Refusal(BlockErrorKind.NotFound, top, $"'{top.NodeName}' is not in the backing chain of '{_active.NodeName}'.");
        }

        BlockNode found = _options.BaseName is { } baseName
            ? BackingChain.FindByPath(_active, baseName)
            : _options.Base?.SkipFilters() ?? BackingChain.Images(top).Last();
        if (found == top)
        {
            throw Refusal(BlockErrorKind.NotFound, top, $"'{top.NodeName}' cannot be committed into itself.");
        }

        return BackingChain.IsBelow(top, found)
            ? (top, found)
            : throw Refusal(BlockErrorKind.NotFound, found, $"'{found.NodeName}' is not in the backing chain of '{top.NodeName}'.");
    }

    // The caller holds the graph as it is. What could only be met in the end is refused now.
    private void ThrowIfUnfit()
    {
        if (_base.BackingReference is { } unopened && _base.Backing is null)
        {
            throw Refusal(BlockErrorKind.Conflict, _base, $"'{_base.NodeName}' records the backing file {unopened}, which is not open: what is read of the base is not what it holds.");
        }

        BackingChain.ThrowIfNotWithinReach(_top, _base);
        BlockNode above = _top;
        foreach (BlockNode image in _images.Skip(1).Append(_base))
        {
            if (ChainUsers.Of(image).FirstOrDefault(user => user != above) is { } other)
            {
                throw Refusal(BlockErrorKind.Conflict, image, $"{this} changes what '{image.NodeName}' shows, which '{other.NodeName}' reads.");
            }

            above = image;
        }

        lock (_top.Environment.TopologyLock)
        {
            foreach (BlockEdge link in ChainUsers.LinksTo(_top))
            {
                link.ThrowIfFrozen();
            }
        }

        foreach (BlockNode overlay in ChainUsers.Of(_top))
        {
            overlay.ThrowIfCannotRecordBacking(ReferenceFor(overlay));
        }
    }

    private BackingReference ReferenceFor(BlockNode overlay) => BackingName.ReferenceTo(overlay, _base, _options.BackingName);

    private async ValueTask InsertFiltersAsync(GraphChange change)
    {
        const ImagePermissions Reads = ImagePermissions.ConsistentRead;
        _base.AddReference();
        var filter = new CommitBaseNode(_base);
        _filter = filter;
        await FilterInsertion.InsertAsync(change, _base, filter, CommitBaseNode.Needs, shares: Reads).ConfigureAwait(false);

        _active.AddReference();
        var guests = new GuestCountNode(_active, _options.GuestsFirst);
        _guests = guests;
        await FilterInsertion.InsertAsync(change, _active, guests, ImagePermissions.None, ImagePermissions.All).ConfigureAwait(false);
    }

    // Whatever is still held goes; the caller has drained the base and so everything above it.
    private async ValueTask GiveBackAsync(GraphChange change)
    {
        _claim?.Dispose();
        _claim = null;
        await RemoveFilterAsync().ConfigureAwait(false);
        await RemoveGuestsAsync().ConfigureAwait(false);
        foreach (NodeReopen image in Enumerable.Reverse(_writable)) // the base first: what stands on it notes what it finds there, and that has to be durable
        {
            await image.RestoreAsync(change).ConfigureAwait(false);
        }

        _writable.Clear();
    }

    // The caller has drained the base.
    private async ValueTask RemoveFilterAsync()
    {
        if (_filter is { } filter)
        {
            _claim?.Thaw();
            _filter = null;
            await FilterInsertion.RemoveAsync(filter).ConfigureAwait(false);
            await filter.DisposeAsync().ConfigureAwait(false);
        }
    }

    // The caller has drained the base.
    private async ValueTask RemoveGuestsAsync()
    {
        if (_guests is { } guests)
        {
            _guests = null;
            await FilterInsertion.RemoveAsync(guests).ConfigureAwait(false);
            await guests.DisposeAsync().ConfigureAwait(false);
        }
    }

    private static BlockLayerException Refusal(BlockErrorKind kind, BlockNode image, string message)
        => new(kind, message) { NodeName = image.NodeName, Path = image.Path };
}
