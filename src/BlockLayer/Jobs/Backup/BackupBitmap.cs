using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Requests;

namespace BlockLayer.Jobs;

/// <summary>
/// The bitmap of an incremental backup. It goes on showing everything while the backup runs, so whatever happens to the backup or the process, the next one
/// misses nothing; what was written since is kept beside it, and takes its place when the backup has succeeded.
/// </summary>
internal sealed class BackupBitmap : IDisposable
{
    private readonly BlockNode _image;
    private readonly string _name;
    private readonly IDisposable _hold;
    private readonly DirtyBitmap _stored; // as it was when it was taken
    private readonly DirtyBitmap _since;  // written since the moment of the backup; a little before it, too, until it begins

    private BackupBitmap(BlockNode image, string name, BitmapUpdate update, IDisposable hold, DirtyBitmap since, DirtyBitmap stored)
    {
        _image = image;
        _name = name;
        Update = update;
        _hold = hold;
        _since = since;
        _stored = stored;
    }

    /// <summary>When the stored bitmap is brought up to date.</summary>
    internal BitmapUpdate Update { get; }

    private IBitmapImage Bitmaps => (IBitmapImage)_image;

    /// <summary>Reads the bitmap and keeps everybody else from changing it.</summary>
    /// <exception cref="BlockLayerException">NotFound, Corrupt, Unsupported (also: the format stores none), Conflict: another job uses it.</exception>
    internal static async ValueTask<BackupBitmap> TakeAsync(BlockNode image, string name, BitmapUpdate update, string job, CancellationToken cancellationToken)
    {
        if (image is not IBitmapImage bitmaps)
        {
            throw new BlockLayerException(BlockErrorKind.Unsupported, $"Format {image.DriverName} stores no bitmaps; qcow2 does.") { NodeName = image.NodeName, Path = image.Path };
        }

        IDisposable hold = bitmaps.HoldBitmap(name, job);
        ImageBitmap info = bitmaps.ListBitmaps().First(bitmap => bitmap.Name == name);
        var since = new DirtyBitmap(image.Length, (int)long.Log2(info.Granularity));
        if (info.IsEnabled)
        {
            image.AttachBitmap(since); // before it is read: what is written meanwhile may be in what is read, and is here
        }

        try
        {
            return new BackupBitmap(image, name, update, hold, since, await bitmaps.ReadBitmapAsync(name, cancellationToken).ConfigureAwait(false));
        }
        catch
        {
            image.DetachBitmap(since);
            hold.Dispose();
            throw;
        }
    }

    /// <summary>The moment of the backup: gives what is to be saved, and begins to note what is written since. The image is drained.</summary>
    internal void MoveTo(DirtyBitmap unsaved)
    {
        unsaved.Merge(_stored);
        unsaved.Merge(_since);
        _since.Clear();
    }

    /// <summary>All is saved, durably: what was written since takes the bitmap's place, durably.</summary>
    internal ValueTask CompleteAsync() => Update == BitmapUpdate.Never ? ValueTask.CompletedTask : Bitmaps.ReplaceBitmapAsync(_name, _since, CancellationToken.None);

    /// <summary>The backup ended early: the bitmap shows what it did not save, and what was written since.</summary>
    internal ValueTask KeepAsync(DirtyBitmap unsaved)
    {
        _since.Merge(unsaved);
        return Bitmaps.ReplaceBitmapAsync(_name, _since, CancellationToken.None);
    }

    /// <summary>Lets the bitmap go.</summary>
    public void Dispose()
    {
        _image.DetachBitmap(_since);
        _hold.Dispose();
    }
}
