using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Requests;
using BlockLayer.Storage;

namespace BlockLayer.Jobs;

/// <summary>
/// Saves a disk as it was when the job was started, while guests go on writing: what they are about to overwrite is copied first. Jobs that are started
/// together (<see cref="JobTransaction"/>) save their disks as they were at one moment.
/// </summary>
/// <remarks>
/// <para>Success is told when the target is durable. A backup that fails or is cancelled leaves a target without value, except for its bitmap's use
/// (<see cref="BitmapUpdate.Always"/>); the disk is untouched by it.</para>
/// </remarks>
public sealed partial class BackupJob : BlockJob
{
    private readonly BackupOptions _options;
    private readonly BlockNode _image;
    private readonly BlockNode _target;
    private ChainClaim? _claim;           // from set-up to clean-up
    private CopyBeforeWriteNode? _filter; // from set-up until the backup is over
    private BackupBitmap? _bitmap;        // of an incremental backup
    private long _end;                    // bytes to save
    private long _saved;                  // bytes, once the filter is gone
    private Exception? _ignored;          // the first error that was ignored
    private IReadOnlyList<string> _targetFiles = []; // from set-up on
    private bool _isWhole;                // the target holds, durably, all that it is to hold

    /// <summary>A job to save a disk.</summary>
    /// <param name="disk">The disk: its root, or its newest image.</param>
    /// <param name="target">Where to: an image of the same length that nobody else writes. The job owns it once it is started, and closes it at the end.</param>
    /// <param name="options">How; null: all of the disk, as fast as possible.</param>
    public BackupJob(BlockNode disk, BlockNode target, BackupOptions? options = null)
        : base(options ??= new BackupOptions(), disk)
    {
        _options = options;
        _image = disk.SkipFilters();
        _target = target;
    }

    /// <inheritdoc/>
    public override string Kind => "backup";

    /// <summary>Bytes saved so far, zeroes included: by the job, and before guests' writes.</summary>
    public long SavedBytes => _filter?.SavedBytes ?? Volatile.Read(ref _saved);

    /// <summary>What saves before guests write; null when the job is over.</summary>
    internal CopyBeforeWriteNode? Filter => _filter;

    internal override BlockNode? StartsAt => _image;

    private protected override long End => Volatile.Read(ref _end);

    private protected override async ValueTask SetUpAsync(CancellationToken cancellationToken)
    {
        ThrowIfUnfit();
        _targetFiles = JobFiles.NamesOf(_target.SkipFilters());
        _claim = ChainClaim.Take(_image, _image, ToString());
        try
        {
            _bitmap = _options.Bitmap is { } name ? await BackupBitmap.TakeAsync(_image, name, _options.BitmapUpdate, ToString(), cancellationToken).ConfigureAwait(false) : null;
            using GraphChange change = await GraphChange.BeginAsync(_image, cancellationToken).ConfigureAwait(false);
            NewestImage.Require(Disk, _image);
            ThrowIfOtherLength();
            await InsertFilterAsync(change, await FindUnsavedAsync(cancellationToken).ConfigureAwait(false)).ConfigureAwait(false);
        }
        catch
        {
            _bitmap?.Dispose();
            _claim.Dispose();
            throw;
        }
    }

    // So that little is left to make durable with guests held back.
    private protected override ValueTask PrepareAsync()
    {
        _filter!.ThrowIfBroken();
        return _filter.Target.FlushAsync(CancellationToken.None);
    }

    // Nothing is left to save, so no guest can break it any more.
    private protected override async ValueTask CommitAsync()
    {
        if (_bitmap is not null)
        {
            await _bitmap.CompleteAsync().ConfigureAwait(false);
        }

        _isWhole = true;
        using (GraphChange change = await GraphChange.BeginAsync(_image, CancellationToken.None).ConfigureAwait(false))
        {
            await FilterInsertion.RemoveAsync(_filter!).ConfigureAwait(false);
        }

        await CloseFilterAsync(_filter!).ConfigureAwait(false);
    }

    private protected override async ValueTask CleanUpAsync()
    {
        try
        {
            if (_filter is { } filter)
            {
                await EndEarlyAsync(filter).ConfigureAwait(false);
            }
        }
        finally
        {
            _bitmap?.Dispose();
            _claim?.Dispose();
        }
    }

    private protected override JobFiles DescribeFiles()
    {
        var files = new JobFiles { Needed = JobFiles.NamesOf(BackingChain.Images(Disk)) };
        return _isWhole ? files with { Changed = _targetFiles } : files with { Invalid = _targetFiles };
    }

    // What was saved is taken out of the bitmap only if the target holds it durably and none of it is lacking, which guests may change until they are held back.
    private async ValueTask EndEarlyAsync(CopyBeforeWriteNode filter)
    {
        bool isUseful = _bitmap is { Update: BitmapUpdate.Always } && await TryFlushAsync(filter).ConfigureAwait(false); // so that the flush with guests held back is short
        using (GraphChange change = await GraphChange.BeginAsync(_image, CancellationToken.None).ConfigureAwait(false))
        {
            isUseful = isUseful && await TryFlushAsync(filter).ConfigureAwait(false);
            await FilterInsertion.RemoveAsync(filter).ConfigureAwait(false);
        }

        await CloseFilterAsync(filter).ConfigureAwait(false);
        if (isUseful)
        {
            await _bitmap!.KeepAsync(filter.Unsaved).ConfigureAwait(false);
        }
    }

    private static async ValueTask<bool> TryFlushAsync(CopyBeforeWriteNode filter)
    {
        try
        {
            filter.ThrowIfBroken();
            await filter.Target.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            return true;
        }
        catch (BlockLayerException)
        {
            return false; // the bitmap keeps all, which is what a target without value needs
        }
    }

    private void ThrowIfUnfit()
    {
        if (_options is { Sync: BackupSync.Incremental, Bitmap: null })
        {
            throw new ArgumentException("An incremental backup needs a bitmap, which says what is to be saved; none is named.");
        }

        if (_options is { Sync: not BackupSync.Incremental, Bitmap: { } unused })
        {
            throw new ArgumentException($"The bitmap '{unused}' is named, but only an incremental backup takes one, and this one is {_options.Sync}.");
        }

        if (_options.CopyBeforeWriteTimeout < TimeSpan.Zero || _options.CopyBeforeWriteTimeout > CopyBeforeWriteNode.LongestTimeout)
        {
            throw new ArgumentException(
                $"{nameof(BackupOptions.CopyBeforeWriteTimeout)} is {_options.CopyBeforeWriteTimeout}; allowed are 0 to {CopyBeforeWriteNode.LongestTimeout.Days} days.");
        }

        if (_target.IsReadOnly)
        {
            throw Refusal(_target, BlockErrorKind.ReadOnly, $"'{_target.NodeName}' is open read-only and cannot take a backup.");
        }

        if (BackingChain.Images(_image).Contains(_target.SkipFilters()))
        {
            throw Refusal(_target, BlockErrorKind.Conflict, $"'{_target.NodeName}' is part of the disk and cannot take its backup.");
        }

        BackingChain.ThrowIfNotWithinReach(_image, _options.Sync == BackupSync.Top ? _image : null);
        _target.SkipFilters().ThrowIfNotWithinReach();
    }

    // The image is drained, so that nobody makes it longer meanwhile.
    private void ThrowIfOtherLength()
    {
        if (_target.Length != _image.Length)
        {
            throw Refusal(
                _target,
                BlockErrorKind.OutOfRange,
                $"'{_target.NodeName}' has {_target.Length} bytes and cannot take the backup of the {_image.Length} bytes of '{_image.NodeName}'; they have to be of the same length.");
        }
    }

    // The image is drained.
    private async ValueTask<DirtyBitmap> FindUnsavedAsync(CancellationToken cancellationToken)
    {
        int granularity = Math.Max(64 * 1024, _target.Limits.ClusterSize);
        var unsaved = new DirtyBitmap(_image.Length, int.Log2(granularity));
        switch (_options.Sync)
        {
            case BackupSync.Full or BackupSync.None:
                unsaved.Set(0, _image.Length);
                break;
            case BackupSync.Incremental:
                _bitmap!.MoveTo(unsaved);
                break;
            default:
                for (long at = 0; at < _image.Length;)
                {
                    BlockStatus status = await _image.GetStatusAsync(Origin.Edge, at, _image.Length - at, StatusDepth.Node, cancellationToken).ConfigureAwait(false);
                    if (status.IsAllocated)
                    {
                        unsaved.Set(at, status.Length);
                    }

                    at += status.Length;
                }

                break;
        }

        Volatile.Write(ref _end, unsaved.CountDirtyBytes());
        return unsaved;
    }

    private async ValueTask InsertFilterAsync(GraphChange change, DirtyBitmap unsaved)
    {
        _image.AddReference();
        CopyBeforeWriteNode filter;
        try
        {
            filter = new CopyBeforeWriteNode(_image, unsaved, _options.OnCopyBeforeWriteError, ToString())
            {
                Guests = new GuestPriority(_image.Environment.Time, _options.GuestsFirst),
                Timeout = _options.CopyBeforeWriteTimeout,
                OnBroken = Kick,
            };
        }
        catch
        {
            await _image.DisposeAsync().ConfigureAwait(false);
            throw;
        }

        try
        {
            _target.AddReference();
            try
            {
                filter.AttachTarget(_target);
            }
            catch
            {
                await _target.DisposeAsync().ConfigureAwait(false);
                throw;
            }

            await FilterInsertion.InsertAsync(change, _image, filter, ImagePermissions.ConsistentRead, ImagePermissions.All & ~ImagePermissions.Resize).ConfigureAwait(false);
        }
        catch
        {
            await filter.DisposeAsync().ConfigureAwait(false);
            throw;
        }

        await _target.DisposeAsync().ConfigureAwait(false); // the filter owns it now
        _filter = filter;
    }

    // It was taken out. The target is durable, or of no value.
    private ValueTask CloseFilterAsync(CopyBeforeWriteNode filter)
    {
        Volatile.Write(ref _saved, filter.SavedBytes);
        _filter = null;
        return CloseUnneededAsync(filter);
    }

    private static BlockLayerException Refusal(BlockNode node, BlockErrorKind kind, string message) => new(kind, message) { NodeName = node.NodeName, Path = node.Path };
}
