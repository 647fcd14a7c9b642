using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Primitives;

namespace BlockLayer.Libvirt;

/// <summary>
/// A live move as it was proposed in 2011, in the three steps of a management program: a copy is created that has the present image as its backing file; the disk goes on with the copy
/// (<c>block_switch</c>); the copy is filled from its chain down to a base (<c>block_stream</c>). Then the image that the disk had before is not needed, and was not written since the switch.
/// </summary>
/// <remarks>
/// Every step leaves a disk that works, so a program that dies between them goes on with the next one: a copy that is not switched to is just a file, and a fill that was interrupted is begun
/// again and copies nothing twice. What the block layer refuses is told as a <see cref="LibvirtException"/>.
/// </remarks>
public sealed class BlockSwitchApi
{
    private readonly LibvirtConnection _connection;

    /// <summary>The calls on a connection.</summary>
    public BlockSwitchApi(LibvirtConnection connection) => _connection = connection;

    /// <summary>The first step: creates a qcow2 image that shows what the disk shows, because the disk's active image is its backing file. Durable on return.</summary>
    /// <param name="domain">Whose disk; it runs.</param>
    /// <param name="device">The disk, by target or path.</param>
    /// <param name="path">The new file, which does not exist.</param>
    /// <param name="cancellationToken">Honoured between steps; a file that was begun is removed again.</param>
    /// <exception cref="LibvirtException">InvalidArg: no such disk; ConfigUnsupported: the file exists, or the drive is empty; or why it cannot be created.</exception>
    public async ValueTask CreateCopyAsync(Domain domain, string device, string path, CancellationToken cancellationToken = default)
    {
        DomainDisk disk = Find(domain, device);
        using AsyncLock.Releaser turn = await DiskJobs.EnterAsync(disk, cancellationToken).ConfigureAwait(false);
        DiskOptions options = domain.Host.Options.Disks;
        if (options.Environment.Files.Look(path) is not null)
        {
            throw LibvirtException.Refused(LibvirtErrorCode.ConfigUnsupported, $"'{path}' exists already.");
        }

        await ToldAsync(async () =>
        {
            BlockNode active = disk.Open!.Chain[0];
            var copy = new NewImage
            {
                Format = "qcow2",
                Length = disk.Open.Length,
                Backing = new BackingReference(BackingName.ForNewOverlay(options.Environment.Files, path, active.Path!), active is StorageNode ? "raw" : active.DriverName),
                Verification = BackingVerification.None, // it is open to be written, and was looked at when it was opened
            };
            return await new ImageCreator(options.Formats, options.Environment).CreateAsync(path, copy, options.Policy, cancellationToken).ConfigureAwait(false);
        }).ConfigureAwait(false);
    }

    /// <summary>The second step: the disk goes on with the copy, which takes what guests write from then on.</summary>
    /// <param name="domain">Whose disk; it runs.</param>
    /// <param name="device">The disk, by target or path.</param>
    /// <param name="path">The copy.</param>
    /// <param name="record">
    /// Notes durably that the copy is the disk from now on, while guests are held back: no file says so, and a program that starts the disk from the old image after a crash would lose what
    /// guests wrote. It must not use the disk, nor wait for calls about it. If it throws, the disk stays where it is. Null: nothing is called.
    /// </param>
    /// <param name="cancellationToken">Honoured until guests are held back.</param>
    /// <returns>What went wrong behind the switch and does not change it (<see cref="DiskSnapshotResult.Error"/>); null for nothing. The copy is in use.</returns>
    /// <exception cref="LibvirtException">
    /// InvalidArg: no such disk; ResourceBusy: the copy stands on something else, or holds something else; or why it cannot be used. The disk has not switched.
    /// </exception>
    public async ValueTask<LibvirtError?> SwitchAsync(
        Domain domain, string device, string path, Func<CancellationToken, ValueTask>? record = null, CancellationToken cancellationToken = default)
    {
        DomainDisk disk = Find(domain, device);
        using AsyncLock.Releaser turn = await DiskJobs.EnterAsync(disk, cancellationToken).ConfigureAwait(false); // no job starts, and the domain does not stop, under it
        DiskOptions options = domain.Host.Options.Disks;
        var overlay = new OverlayOptions { Source = OverlaySource.Existing, Policy = options.Policy, Secrets = options.Secrets, Formats = options.Formats };
        DiskSnapshotResult taken = await ToldAsync(() => DiskSnapshot.TakeAsync([new DiskOverlay(disk.Open!, path, overlay)], record, cancellationToken)).ConfigureAwait(false);
        return LibvirtError.Of(taken.Error);
    }

    /// <summary>The third step: starts to fill the disk's active image from its chain.</summary>
    /// <param name="domain">Whose disk; it runs.</param>
    /// <param name="device">The disk, by target or path.</param>
    /// <param name="base">What stays below it: a path or <c>vda[N]</c>; null for nothing.</param>
    /// <param name="cancellationToken">Honoured until the job runs.</param>
    /// <exception cref="LibvirtException">InvalidArg: no such disk, or the base is not below it; OperationUnsupported, BlockCopyActive: another job has the disk.</exception>
    public ValueTask<DiskJob> StreamAsync(Domain domain, string device, string? @base = null, CancellationToken cancellationToken = default)
    {
        DomainDisk disk = Find(domain, device);
        return DiskJobs.StartPullAsync(domain, disk, @base, RecordedName.Absolute, bytesPerSecond: 0, cancellationToken);
    }

    private DomainDisk Find(Domain domain, string device) => _connection.BeginChange(domain, device, static () => { });

    private static async ValueTask<T> ToldAsync<T>(Func<ValueTask<T>> step)
    {
        try
        {
            return await step().ConfigureAwait(false);
        }
        catch (BlockLayerException error)
        {
            throw new LibvirtException(LibvirtError.Of(error), error);
        }
    }
}
