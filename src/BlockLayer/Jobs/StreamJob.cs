using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.Jobs;

/// <summary>
/// Fills an image with what its backing chain provides above a base, and then makes the base its backing file; without a base, none. Guests go on
/// reading and writing meanwhile.
/// </summary>
/// <remarks>
/// <para>The allocation state of the image is the cursor: a job that was cancelled, failed or killed is simply run again, copies nothing twice and loses
/// nothing. At every moment the old chain reads right; at the moment of the switch both do.</para>
/// <para>The job holds <i>bottom</i>, the last image that is copied. The base is bottom's backing node at the moment of completion: another job may have
/// put another one there meanwhile.</para>
/// <para>Success is told only after, in this order: nothing is lacking (checked while nobody else is inside); the change of the graph cannot fail any
/// more; what was copied is durable; the image's header names the base, durably; the graph is switched.</para>
/// </remarks>
public sealed partial class StreamJob : BlockJob
{
    private readonly StreamOptions _options;
    private readonly BlockNode _image;
    private BlockNode _bottom;
    private ChainClaim? _claim;       // from prepare to clean-up
    private CopyOnReadNode? _filter;  // from prepare to the switch or clean-up
    private Exception? _ignored;      // the first error that was ignored
    private long _copied;             // interlocked
    private long _carefulUntil;       // up to here units are copied one by one, because a larger step failed and errors are ignored

    /// <summary>A job to fill an image.</summary>
    /// <param name="disk">The image, or a filter above it such as the root of a disk.</param>
    /// <param name="options">How; null: the whole chain, as fast as possible.</param>
    public StreamJob(BlockNode disk, StreamOptions? options = null)
        : base(options ??= new StreamOptions(), disk.Environment)
    {
        _options = options;
        _image = disk.SkipFilters();
        _bottom = _image;
    }

    /// <inheritdoc/>
    public override string Kind => "stream";

    /// <summary>The image that is filled.</summary>
    public BlockNode Image => _image;

    /// <summary>
    /// Bytes that the job's own steps have stored so far, zeroes included. What guests copied by reading, or overwrote, is not in it, and neither is what had
    /// nothing to copy; <see cref="BlockJob.Progress"/> passes over that too.
    /// </summary>
    public long CopiedBytes => Interlocked.Read(ref _copied);

    private protected override long End => _image.Length;

    private protected override async ValueTask SetUpAsync(CancellationToken cancellationToken)
    {
        ThrowIfUnfit();
        BlockNode? baseImage = FindBase();
        _bottom = (baseImage is null ? BackingChain.Images(_image).Last() : BackingChain.OverlayOf(_image, baseImage))
            ?? throw Refusal(BlockErrorKind.NotFound, $"'{baseImage!.NodeName}' is not in the backing chain of '{_image.NodeName}'.");
        if (_bottom.Backing is null && _bottom.BackingReference is { } unopened)
        {
            throw Refusal(BlockErrorKind.Conflict, $"'{_bottom.NodeName}' records the backing file {unopened}, which is not open: its content would be lost.");
        }

        _image.ThrowIfCannotRecordBacking(ReferenceTo(_bottom.Backing));
        using GraphChange change = await GraphChange.BeginAsync(_image, cancellationToken).ConfigureAwait(false);
        _claim = ChainClaim.Take(_image, _bottom, ToString());
        try
        {
            await InsertFilterAsync(change).ConfigureAwait(false);
        }
        catch
        {
            _claim.Dispose();
            throw;
        }
    }

    private protected override async ValueTask CleanUpAsync()
    {
        if (_filter is not null)
        {
            using GraphChange change = await GraphChange.BeginAsync(_image, CancellationToken.None).ConfigureAwait(false);
            await RemoveFilterAsync().ConfigureAwait(false);
        }

        _claim?.Dispose();
    }

    private void ThrowIfUnfit()
    {
        if (_image.IsReadOnly)
        {
            throw Refusal(BlockErrorKind.ReadOnly, $"'{_image.NodeName}' is open read-only and cannot be filled.");
        }

        if (!_image.Limits.SupportsPopulate)
        {
            throw Refusal(BlockErrorKind.Unsupported, $"'{_image.NodeName}' ({_image.DriverName}) takes no copies from a backing file.");
        }
    }

    private BlockNode? FindBase()
    {
        if (_options is { Base: not null, BaseName: not null })
        {
            throw new ArgumentException($"{nameof(StreamOptions.Base)} and {nameof(StreamOptions.BaseName)} are given; only one can be.");
        }

        BlockNode? found = _options.BaseName is { } name ? BackingChain.FindByPath(_image, name) : _options.Base?.SkipFilters();
        return found == _image
            ? throw Refusal(BlockErrorKind.NotFound, $"'{_image.NodeName}' cannot be its own base.")
            : found;
    }

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

    // The caller holds a change that has drained the image.
    private async ValueTask RemoveFilterAsync()
    {
        CopyOnReadNode filter = _filter!;
        _filter = null;
        await FilterInsertion.RemoveAsync(filter).ConfigureAwait(false);
        await filter.DisposeAsync().ConfigureAwait(false);
    }

    private BlockLayerException Refusal(BlockErrorKind kind, string message) => new(kind, message) { NodeName = _image.NodeName, Path = _image.Path };
}
