using BlockLayer.Errors;
using BlockLayer.Jobs;
using BlockLayer.Primitives;

namespace BlockLayer.Libvirt;

/// <summary>What the generations before BlockPull have in common: increments, and a look at everything that streams.</summary>
internal static class DiskStreams
{
    /// <summary>Starts to stream a whole device.</summary>
    internal static ValueTask<DiskJob> StartAsync(Domain domain, DomainDisk disk, CancellationToken cancellationToken)
        => DiskJobs.StartPullAsync(domain, disk, @base: null, RecordedName.Absolute, bytesPerSecond: 0, cancellationToken);

    /// <summary>Stops streaming a whole device, and returns when that has ended and its end was told.</summary>
    internal static async ValueTask StopAsync(DomainDisk disk, CancellationToken cancellationToken)
    {
        IDiskJob stream = await DiskJobs.EndPullAsync(disk, cancellationToken).ConfigureAwait(false);
        await stream.WaitForEndAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// Streams one unit. Increments of one disk take turns with each other, with jobs that start and with the stop of the domain. The one after which nothing is lacking is told as a pull that has completed.
    /// </summary>
    /// <param name="domain">Whose disk.</param>
    /// <param name="disk">The disk.</param>
    /// <param name="cursor">At most <see cref="long.MaxValue"/>.</param>
    /// <param name="cancellationToken">Cancels the increment.</param>
    /// <exception cref="LibvirtException">BlockCopyActive, OperationUnsupported: the disk has a job; and as the block layer refuses the increment, or fails in it.</exception>
    internal static async ValueTask<StreamIncrement> StreamUnitAsync(Domain domain, DomainDisk disk, ulong cursor, CancellationToken cancellationToken)
    {
        bool wasInChain;
        StreamIncrement increment;
        using (AsyncLock.Releaser turn = await disk.EnterTurnAsync(cancellationToken).ConfigureAwait(false))
        {
            disk.ThrowIfOccupied();
            wasInChain = disk.Chain.Count > 1;
            try
            {
                increment = await disk.Open!.StreamIncrementAsync((long)cursor, new StreamOptions { Id = disk.Target }, cancellationToken).ConfigureAwait(false);
            }
            catch (BlockLayerException error)
            {
                throw new LibvirtException(LibvirtError.Of(error), error);
            }
        }

        if (wasInChain && increment.IsComplete)
        {
            domain.TellOfJob(disk, BlockJobType.Pull, BlockJobStatus.Completed, LibvirtError.Of(increment.Error)); // without the turn: a listener may want the disk
        }

        return increment;
    }

    /// <summary>The whole devices of a domain that are being streamed now, whichever generation has started it: how far, and how far it goes.</summary>
    /// <exception cref="LibvirtException">InvalidConnection, InvalidDomain, InvalidArg: flags; OperationInvalid: the domain does not run.</exception>
    internal static IReadOnlyList<(DomainDisk Disk, ulong Position, ulong End)> Active(LibvirtConnection connection, Domain domain, string call, int flags)
    {
        connection.RequireOpen();
        connection.RequireOwn(domain);
        CallRules.CheckNoFlags(call, flags);
        domain.RequireRunning();
        var active = new List<(DomainDisk, ulong, ulong)>();
        foreach (DomainDisk disk in domain.Disks)
        {
            if (disk is { Open: { } open, Job: { Type: BlockJobType.Pull } job })
            {
                JobReading reading = job.Read();
                active.Add((disk, (ulong)reading.Current, (ulong)(reading.End == 0 ? open.Length : reading.End)));
            }
        }

        return active;
    }

    /// <summary>Fills a caller's array with as much as there is room for, and leaves the rest of it alone.</summary>
    /// <returns>How many entries were filled.</returns>
    /// <exception cref="LibvirtException">InvalidArg: the array is missing or shorter than the caller says.</exception>
    internal static int Fill<T>(string call, IReadOnlyList<T> found, T[]? entries, uint room)
    {
        if (room > (uint)(entries?.Length ?? 0))
        {
            throw LibvirtException.InvalidArg($"{call} is to fill {room} entries, and the array has {entries?.Length ?? 0}.");
        }

        int count = (int)Math.Min(room, (uint)found.Count);
        for (int i = 0; i < count; i++)
        {
            entries![i] = found[i];
        }

        return count;
    }
}
