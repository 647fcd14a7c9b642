using System.Runtime.CompilerServices;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Primitives;

namespace BlockLayer.Simulation;

/// <summary>
/// Internal snapshots of a disk's newest image: taken while guests write, read back, applied and deleted. Each holds what the disk held at the moment at which it was taken. Only
/// images without a backing file are asked: what a snapshot leaves to the backing file is not its own. So whoever gives an image a backing file takes turns with this.
/// </summary>
internal sealed class SnapshotSeries(SystemRun run, SystemDisk disk, SeededRandom random)
{
    private readonly List<Kept> _kept = [];
    private bool _isBusy;

    /// <summary>Leaves them alone for somebody's sake until <see cref="Release"/>. False: somebody is at them.</summary>
    internal bool TryHold()
    {
        bool isFree = !_isBusy;
        _isBusy = true;
        return isFree;
    }

    /// <summary>They may be worked with again.</summary>
    internal void Release() => _isBusy = false;

    /// <summary>Takes one, or does something with one that was taken. False: there is none, or somebody is at it.</summary>
    internal async ValueTask<bool> ActAsync()
    {
        BlockNode image = disk.Disk.Root.SkipFilters();
        if (image.Backing is not null || !ImageSnapshots.CanHave(image) || !TryHold())
        {
            return false;
        }

        try
        {
            Kept[] here = [.. _kept.Where(kept => kept.Image == image)];
            if (here.Length == 0 || (here.Length < 3 && random.Next(3) == 0))
            {
                return await TakeAsync(image).ConfigureAwait(false);
            }

            Kept chosen = here[random.Next(here.Length)];
            return random.Next(2) == 0 ? await ApplyAsync(chosen).ConfigureAwait(false) : await DeleteAsync(chosen).ConfigureAwait(false);
        }
        finally
        {
            Release();
        }
    }

    private async ValueTask<bool> TakeAsync(BlockNode image)
    {
        long length = disk.Oracle.Length;
        OracleRead moment = disk.Oracle.BeginRead(0, length);
        try
        {
            SnapshotInfo made = await ImageSnapshots.CreateAsync(image, "kept").ConfigureAwait(false);
            _kept.Add(new Kept(image, made.Id, moment, length));
            return true;
        }
        finally
        {
            disk.Oracle.Close(moment);
        }
    }

    private async ValueTask<bool> DeleteAsync(Kept kept)
    {
        if (await ReadAsync(kept).ConfigureAwait(false) is null)
        {
            return false;
        }

        // Where it fails because of a fault, nobody knows whether it is still there.
        _kept.Remove(kept);
        await ImageSnapshots.DeleteAsync(kept.Image, kept.Id).ConfigureAwait(false);
        return true;
    }

    // To the guests it is a write of everything: those who write meanwhile come before it or after it.
    private async ValueTask<bool> ApplyAsync(Kept kept)
    {
        if (kept.Length != disk.Oracle.Length || await ReadAsync(kept).ConfigureAwait(false) is not { } content)
        {
            return false;
        }

        return await disk.TryHoldLengthAsync(kept.Length, async () =>
        {
            OracleWrite write = disk.Oracle.BeginWrite(0, content);
            try
            {
                await ImageSnapshots.ApplyAsync(kept.Image, kept.Id).ConfigureAwait(false);
                disk.Oracle.CompleteDurably(write);
            }
            catch (BlockLayerException refusal) when (refusal.Kind is BlockErrorKind.Conflict or BlockErrorKind.Unsupported)
            {
                disk.Oracle.Withdraw(write);
                throw;
            }
            catch (BlockLayerException)
            {
                disk.Oracle.Fail(write);
                throw;
            }
        }).ConfigureAwait(false);
    }

    // What it holds, which is what it has to hold; null where the image has got a backing file since, or a fault is in the way.
    private async ValueTask<byte[]?> ReadAsync(Kept kept)
    {
        if (kept.Image.Backing is not null)
        {
            return null;
        }

        try
        {
            var asItWas = new ImageOpenOptions { Format = "qcow2", Access = NodeAccess.ReadOnly, Locking = ImageLocking.Ignore, Snapshot = kept.Id, Secrets = ImageMaker.Secrets };
            BlockNode snapshot = await new ImageOpener(run.Formats, run.Machine.Environment).OpenAsync(kept.Image.Path!, asItWas).ConfigureAwait(false);
            await using ConfiguredAsyncDisposable closing = snapshot.ConfigureAwait(false);
            using PooledBuffer content = await OracleGuest.RentAllAsync(snapshot).ConfigureAwait(false);
            disk.Oracle.CompleteRead(kept.Moment, content.Span[..(int)kept.Length]);
            run.Report.KeptStates++;
            return content.Span[..(int)kept.Length].ToArray();
        }
        catch (BlockLayerException) when (run.HasFaults)
        {
            return null;
        }
    }

    private sealed record Kept(BlockNode Image, string Id, OracleRead Moment, long Length);
}
