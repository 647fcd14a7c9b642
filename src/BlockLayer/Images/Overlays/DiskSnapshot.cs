using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Images;

/// <summary>
/// Keeps what disks hold at one moment: puts an overlay on each, which takes what guests write from then on, while they run. The images that were the newest
/// until then become read-only backing files, and other programs may read them.
/// </summary>
public static class DiskSnapshot
{
    /// <summary>
    /// Puts an overlay on every disk, or on none. The moment is the same for all of them: no request of any guest is under way. What guests wrote before is durable in
    /// the images below, and the overlays are durable, empty or equal.
    /// </summary>
    /// <remarks>
    /// <para>The order: overlays created, durable; guests held back; everything flushed; <paramref name="record"/>; all disks switched, which cannot fail; guests go on.</para>
    /// <para>Nothing in the files says which image of a chain is a disk's newest, so whoever runs the disks notes it. A crash before <paramref name="record"/> has
    /// returned leaves disks whose newest images are the old ones, with overlays beside them that are of no use; a crash afterwards, the new.</para>
    /// </remarks>
    /// <param name="overlays">The disks, each once, all of one environment, and their overlays.</param>
    /// <param name="record">
    /// Notes durably that the overlays are the newest images from now on; called once, while guests are held back. It must not use the disks. If it throws, nothing is switched.
    /// Null: the caller notes it afterwards, or does not mind that a crash in between loses what guests wrote since.
    /// </param>
    /// <param name="cancellationToken">Honoured until guests are held back.</param>
    /// <returns>The disks have switched. What went wrong since is told here, never thrown: the overlays are in use.</returns>
    /// <exception cref="ArgumentException">There is no disk, or one twice, or disks of different environments.</exception>
    /// <exception cref="ObjectDisposedException">A disk is closed, or is being closed. One that is closed later waits for the snapshot.</exception>
    /// <exception cref="BlockLayerException">
    /// Conflict: the file exists, or is another's overlay, or holds something else than the disk, or a job changes a disk's newest image; ReadOnly: a disk cannot be written;
    /// Unsupported: the format takes no such overlay; NoSpace, Io, and what opening and creating an image may say. No disk has changed, and overlays that were created are
    /// removed; where that fails too, the message names them.
    /// </exception>
    public static async ValueTask<DiskSnapshotResult> TakeAsync(
        IEnumerable<DiskOverlay> overlays,
        Func<CancellationToken, ValueTask>? record = null,
        CancellationToken cancellationToken = default)
    {
        DiskOverlay[] asked = [.. overlays];
        using GraphUse use = GraphUse.Begin(asked.Select(static overlay => overlay.Disk.Root)); // a disk that is closed meanwhile waits for it
        OverlaySwitch[] switches = [.. asked.Select(static overlay => new OverlaySwitch(overlay))];
        ThrowIfUnfit(switches);
        var aftermath = new Aftermath();
        try
        {
            await SwitchAsync(switches, record, aftermath, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception reason)
        {
            await CloseAsync(switches, aftermath).ConfigureAwait(false);
            aftermath.ThrowIfLeft(reason);
            throw;
        }

        await CloseAsync(switches, aftermath).ConfigureAwait(false);
        return new DiskSnapshotResult(aftermath.Error);
    }

    // Throws only while no disk has switched.
    private static async ValueTask SwitchAsync(
        OverlaySwitch[] switches, Func<CancellationToken, ValueTask>? record, Aftermath aftermath, CancellationToken cancellationToken)
    {
        foreach (OverlaySwitch disk in switches)
        {
            await disk.OpenAsync(cancellationToken).ConfigureAwait(false);
        }

        using GraphChange change = await GraphChange.BeginAsync([.. switches.Select(static disk => disk.Image)], cancellationToken).ConfigureAwait(false);
        foreach (OverlaySwitch disk in switches)
        {
            await disk.ThrowIfUnfitAsync().ConfigureAwait(false);
        }

        foreach (OverlaySwitch disk in switches)
        {
            await NodeReopen.SettleAsync(change, disk.Image).ConfigureAwait(false);
        }

        if (record is not null)
        {
            await record(CancellationToken.None).ConfigureAwait(false);
        }

        foreach (OverlaySwitch disk in switches)
        {
            disk.Switch(change);
        }

        foreach (OverlaySwitch disk in switches)
        {
            await aftermath.DoAsync(() => NodeReopen.MakeReadOnlyAsync(change, disk.Image)).ConfigureAwait(false); // the others' all the same
        }
    }

    private static async ValueTask CloseAsync(OverlaySwitch[] switches, Aftermath aftermath)
    {
        foreach (OverlaySwitch disk in switches)
        {
            await disk.CloseAsync(aftermath).ConfigureAwait(false);
        }
    }

    private static void ThrowIfUnfit(OverlaySwitch[] switches)
    {
        if (switches.Length == 0)
        {
            throw new ArgumentException("There is no disk to take a snapshot of.");
        }

        if (switches.DistinctBy(static disk => disk.Disk).Count() < switches.Length)
        {
            throw new ArgumentException("A disk is given twice.");
        }

        if (switches.Any(disk => disk.Environment != switches[0].Environment))
        {
            throw new ArgumentException("The disks live in different environments and cannot be held back together.");
        }
    }
}
