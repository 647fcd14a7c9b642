using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Storage;

namespace BlockLayer.Jobs;

/// <summary>
/// Fills an image with what its backing chain provides above a base, and then makes the base its backing file; without a base, none. Guests go on
/// reading and writing meanwhile.
/// </summary>
/// <remarks>
/// <para>The image is a disk's newest, or one below it, which is then open for writing for the time of the job. Jobs work at the same time on parts of one chain that
/// have no image in common, except that the lowest image of one may be the overlay of another's.</para>
/// <para>The allocation state of the image is the cursor: a job that was cancelled, failed or killed is simply run again, copies nothing twice and loses
/// nothing. At every moment the old chain reads right; at the moment of the switch both do.</para>
/// <para>The job holds <i>bottom</i>, the last image that is copied. The base is bottom's backing node at the moment of completion: another job may have
/// put another one there meanwhile.</para>
/// <para>With a <see cref="StreamOptions.Cursor"/> the job is one increment: it ends after one unit, and only the increment after which nothing is lacking goes on to the switch.</para>
/// <para>Success is told only after, in this order: nothing is lacking (checked while nobody else is inside); the change of the graph cannot fail any
/// more; what was copied is durable; the image's header names the base, durably; the graph is switched.</para>
/// </remarks>
public sealed partial class StreamJob : BlockJob
{
    private readonly StreamOptions _options;
    private BlockNode _image;
    private BlockNode _bottom;
    private IReadOnlyList<string> _before = []; // the files of the chain at the start
    private ChainClaim? _claim;       // from set-up to clean-up
    private CopyOnReadNode? _filter;  // from set-up to the switch or clean-up
    private NodeReopen? _writable;    // from set-up to the switch or clean-up
    private Exception? _ignored;      // the first error that was ignored
    private long _copied;             // interlocked
    private long _cursor;             // interlocked; what Cursor says
    private long _reached = -1;       // interlocked; where an increment has ended, -1 before
    private long? _next;              // where the next increment continues; null for a pull that runs to its end, and before
    private long _carefulUntil;       // up to here units are copied one by one, because a larger step failed and errors are ignored

    /// <summary>A job to fill an image.</summary>
    /// <param name="disk">The disk's newest image, or a filter above it such as the root of a disk.</param>
    /// <param name="options">How; null: the whole chain, as fast as possible.</param>
    public StreamJob(BlockNode disk, StreamOptions? options = null)
        : base(options ??= new StreamOptions(), disk)
    {
        _options = options;
        _cursor = options.Cursor ?? 0;
        _image = disk.SkipFilters();
        _bottom = _image;
    }

    /// <inheritdoc/>
    public override string Kind => "stream";

    /// <summary>The image that is filled; one that is not the disk's newest is known once the job is started.</summary>
    public BlockNode Image => _image;

    /// <summary>
    /// Bytes that the job's own steps have stored so far, zeroes included. What guests copied by reading, or overwrote, is not in it, and neither is what had
    /// nothing to copy; <see cref="BlockJob.Progress"/> passes over that too.
    /// </summary>
    public long CopiedBytes => Interlocked.Read(ref _copied);

    /// <summary>How the job makes sure that nothing is lacking; a test puts one in its place that does not look.</summary>
    internal CopiedCheck CopiedCheck { get; init; } = CopiedCheck.Walk;

    private protected override long End => Interlocked.Read(ref _reached) is >= 0 and var reached ? reached : Length;

    private long Length => _image.Length;

    private ByteRange All => new(0, Length);

    /// <summary>
    /// What the job would work on. Refuses what the start would refuse, except that it does not ask who works there now, nor whether the image can be written.
    /// </summary>
    /// <exception cref="BlockLayerException">As for the start.</exception>
    /// <exception cref="ArgumentException">As for the start.</exception>
    internal JobScope Look()
    {
        FindPart();
        ThrowIfTakesNoCopies();
        return new JobScope([.. BackingChain.Images(_image).TakeWhile(image => image != _bottom), _bottom], _bottom.Backing?.SkipFilters());
    }

    private protected override async ValueTask SetUpAsync(CancellationToken cancellationToken)
    {
        FindPart();
        using GraphChange change = await GraphChange.BeginAsync(_image, cancellationToken).ConfigureAwait(false);
        if (FindTop() != _image || FindBottom() != _bottom)
        {
            throw Refusal(BlockErrorKind.Conflict, $"The backing chain of '{_image.NodeName}' was just changed by another job.");
        }

        _claim = ChainClaim.Take(_image, _bottom, ToString());
        _before = JobFiles.NamesOf(BackingChain.Images(_image));
        try
        {
            if (_image != Disk.SkipFilters())
            {
                _writable = await NodeReopen.MakeWritableAsync(change, _image, cancellationToken).ConfigureAwait(false);
            }

            ThrowIfUnfit();
            await InsertFilterAsync(change).ConfigureAwait(false);
        }
        catch (Exception reason)
        {
            await Aftermath.UndoAsync(reason, () => GiveBackAsync(change)).ConfigureAwait(false);
            throw;
        }
    }

    private void FindPart()
    {
        _image = FindTop();
        _bottom = FindBottom();
        if (_bottom.Backing is null && _bottom.BackingReference is { } unopened)
        {
            throw Refusal(BlockErrorKind.Conflict, $"'{_bottom.NodeName}' records the backing file {unopened}, which is not open: its content would be lost.");
        }

        if (_bottom.Backing is null && _options.BackingName is not null)
        {
            throw new ArgumentException($"{nameof(StreamOptions.BackingName)} is given, but everything is to be copied and no backing file will be left.");
        }

        _image.ThrowIfCannotRecordBacking(ReferenceTo(_bottom.Backing));
    }

    private protected override async ValueTask CleanUpAsync()
    {
        if (_claim is not null)
        {
            using GraphChange change = await GraphChange.BeginAsync(_image, CancellationToken.None).ConfigureAwait(false);
            await GiveBackAsync(change).ConfigureAwait(false);
        }
    }

    // The caller holds a change that has drained the image.
    private async ValueTask GiveBackAsync(GraphChange change)
    {
        _claim?.Dispose();
        _claim = null;
        if (_filter is { } filter)
        {
            _filter = null;
            await FilterInsertion.RemoveAsync(filter).ConfigureAwait(false);
            await filter.DisposeAsync().ConfigureAwait(false);
        }

        if (_writable is { } writable)
        {
            _writable = null;
            await writable.RestoreAsync(change).ConfigureAwait(false);
        }
    }

    private protected override JobFiles DescribeFiles()
    {
        IReadOnlyList<string> needed = JobFiles.NamesOf(BackingChain.Images(Disk));
        return new JobFiles { Needed = needed, Unneeded = [.. _before.Except(needed)] };
    }

    private void ThrowIfUnfit()
    {
        if (_image.IsReadOnly)
        {
            throw Refusal(BlockErrorKind.ReadOnly, $"'{_image.NodeName}' is open read-only and cannot be filled.");
        }

        ThrowIfTakesNoCopies();
        if (_options.Cursor is { } cursor && (cursor < 0 || cursor > Length))
        {
            throw Refusal(BlockErrorKind.OutOfRange, $"The cursor is {cursor}; '{_image.NodeName}' has the positions 0 to {Length}.");
        }
    }

    private void ThrowIfTakesNoCopies()
    {
        if (!_image.Limits.SupportsPopulate)
        {
            throw Refusal(BlockErrorKind.Unsupported, $"'{_image.NodeName}' ({_image.DriverName}) takes no copies from a backing file.");
        }
    }

    private BlockNode FindTop()
    {
        if (_options is { Top: not null, TopName: not null })
        {
            throw new ArgumentException($"{nameof(StreamOptions.Top)} and {nameof(StreamOptions.TopName)} are given; only one can be.");
        }

        BlockNode newest = Disk.SkipFilters();
        BlockNode top = _options.TopName is { } name ? BackingChain.FindByPath(newest, name) : _options.Top?.SkipFilters() ?? newest;
        return top == newest || BackingChain.IsBelow(newest, top)
            ? top
            : throw Refusal(BlockErrorKind.NotFound, $"'{top.NodeName}' is not in the backing chain of '{newest.NodeName}'.");
    }

    private BlockNode FindBottom()
    {
        if (_options is { Base: not null, BaseName: not null })
        {
            throw new ArgumentException($"{nameof(StreamOptions.Base)} and {nameof(StreamOptions.BaseName)} are given; only one can be.");
        }

        if (_options.Bottom is { } given)
        {
            BlockNode bottom = given.SkipFilters();
            return _options is { Base: null, BaseName: null }
                ? BackingChain.Images(_image).Contains(bottom) ? bottom : throw NotInChain(bottom)
                : throw new ArgumentException($"{nameof(StreamOptions.Bottom)} and a base are given; only one can be.");
        }

        BlockNode? found = _options.BaseName is { } name ? BackingChain.FindByPath(_image, name) : _options.Base?.SkipFilters();
        return found == _image
            ? throw Refusal(BlockErrorKind.NotFound, $"'{_image.NodeName}' cannot be its own base.")
            : found is null ? BackingChain.Images(_image).Last() : BackingChain.OverlayOf(_image, found) ?? throw NotInChain(found);
    }

    private BlockLayerException NotInChain(BlockNode node)
        => Refusal(BlockErrorKind.NotFound, $"'{node.NodeName}' is not in the backing chain of '{_image.NodeName}'.");

    private BackingReference? ReferenceTo(BlockNode? backing)
        => backing is null ? null : BackingName.ReferenceTo(_image, backing.SkipFilters(), _options.BackingName);

    private async ValueTask InsertFilterAsync(GraphChange change)
    {
        var options = new CopyOnReadOptions { Strategy = _options.Strategy, MemoryLimit = _options.MemoryLimit, GuestsFirst = _options.GuestsFirst };
        _image.AddReference();
        CopyOnReadNode filter;
        try
        {
            filter = CopyOnReadNode.CreateForJob(_image, _bottom, options, ToString());
        }
        catch
        {
            await _image.DisposeAsync().ConfigureAwait(false);
            throw;
        }

        try
        {
            await FilterInsertion.InsertAsync(
                change,
                _image,
                filter,
                needs: ImagePermissions.ConsistentRead | ImagePermissions.WriteUnchanged,
                shares: ImagePermissions.All & ~ImagePermissions.Resize).ConfigureAwait(false);
        }
        catch
        {
            await filter.DisposeAsync().ConfigureAwait(false);
            throw;
        }

        _filter = filter;
    }

    private BlockLayerException Refusal(BlockErrorKind kind, string message) => new(kind, message) { NodeName = _image.NodeName, Path = _image.Path };
}
