using System.Runtime.CompilerServices;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Primitives;

namespace BlockLayer.Simulation;

/// <summary>
/// Backups of a disk into one file: a full one, and then those of what a dirty bitmap shows. After each the file holds what the disk held at the moment at which that
/// backup was started, whatever became of those before.
/// </summary>
internal sealed class BackupSeries(SystemRun run, SystemDisk disk, SeededRandom random)
{
    private string? _target; // null: the next backup is a full one
    private long _length;    // of the target
    private string? _bitmap;
    private bool _isBusy;

    /// <summary>The file of the last one that was started; null: there was none.</summary>
    internal string? Target { get; private set; }

    /// <summary>Starts the next one; null while one is running.</summary>
    internal async ValueTask<OperatorTask?> StartAsync(BackupOptions options)
    {
        if (_isBusy)
        {
            return null;
        }

        _isBusy = true;
        try
        {
            bool fits = _target is not null && _length == disk.Disk.Length;
            return await (fits ? StartIncrementalAsync(options) : StartFullAsync(options)).ConfigureAwait(false);
        }
        catch (BlockLayerException refusal)
        {
            _isBusy = false;
            if (refusal.Kind == BlockErrorKind.NotFound && random.Next(2) == 0)
            {
                _target = null; // the disk goes on with an image that does not have the bitmap; or it comes back
            }

            throw;
        }
    }

    /// <summary>A backup of all of the disk into a new file.</summary>
    /// <returns>The job; its target, which is the caller's until the job is set up; the target's file.</returns>
    internal async ValueTask<(BackupJob Job, BlockNode Target, string Path)> NewFullAsync(BackupOptions options)
    {
        string path = disk.NewPath();
        BlockNode target = await disk.CreateRawAsync(path).ConfigureAwait(false);
        return (new BackupJob(disk.Disk.Root, target, options), target, path);
    }

    /// <summary>A file holds what the disk held at a moment.</summary>
    internal async ValueTask VerifyAsync(string target, OracleRead moment, long length)
    {
        try
        {
            Disk saved = await Disk.OpenAsync(target, disk.As("raw") with { Access = NodeAccess.ReadOnly }).ConfigureAwait(false);
            await using ConfiguredAsyncDisposable closing = saved.ConfigureAwait(false);
            using PooledBuffer content = await OracleGuest.RentAllAsync(saved.Root).ConfigureAwait(false);
            disk.Oracle.CompleteRead(moment, content.Span[..(int)length]);
            run.Report.Backups++;
        }
        catch (BlockLayerException) when (run.HasFaults)
        {
            // It could not be read.
        }
    }

    private async ValueTask<OperatorTask> StartFullAsync(BackupOptions options)
    {
        string bitmap = $"since{disk.NewPath()}";
        await disk.Disk.AddBitmapAsync(bitmap, new NewBitmap { Granularity = 4096 }).ConfigureAwait(false); // first: it may show more than was written since
        string target = disk.NewPath();
        BlockNode file = await disk.CreateRawAsync(target).ConfigureAwait(false);
        long length = file.Length;
        await file.DisposeAsync().ConfigureAwait(false);
        return await RunAsync(target, options, isSaved =>
        {
            _target = isSaved ? target : null;
            _length = length;
            _bitmap = bitmap;
        }).ConfigureAwait(false);
    }

    // One that ends early leaves the bitmap as it was, and some of what it saved in the file.
    private ValueTask<OperatorTask> StartIncrementalAsync(BackupOptions options)
        => RunAsync(_target!, options with { Sync = BackupSync.Incremental, Bitmap = _bitmap, BitmapUpdate = (BitmapUpdate)random.Next(3) }, _ => { });

    private async ValueTask<OperatorTask> RunAsync(string target, BackupOptions options, Action<bool> ended)
    {
        long length = disk.Oracle.Length;
        OracleRead moment = disk.Oracle.BeginRead(0, length);
        try
        {
            BackupJob job = await disk.Disk.StartBackupAsync(target, options, disk.As("raw")).ConfigureAwait(false);
            Target = target;
            return new OperatorTask(job)
            {
                Verify = () => VerifyAsync(target, moment, length),
                Ended = isSaved =>
                {
                    ended(isSaved);
                    _isBusy = false;
                },
            };
        }
        finally
        {
            disk.Oracle.Close(moment);
        }
    }
}
