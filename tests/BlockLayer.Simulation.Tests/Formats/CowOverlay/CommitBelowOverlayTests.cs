using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using Xunit;

namespace BlockLayer.Simulation.Tests.Formats.CowOverlay;

/// <summary>
/// A commit writes below an overlay and is cut short. When it is closed, the overlay notes what its base shows, which has to be what is found there later: else it refuses a base
/// of which no byte is wrong. Seen by <c>blk simulate --first 3001146 --operators 6 --guests 3</c> and <c>--first 2002017 --disks 3 --operators 3</c>.
/// </summary>
/// <remarks>The disk is <c>/vm/base</c>, <c>/vm/overlay</c> (add-cow), <c>/vm/top</c>, which holds all of it.</remarks>
public sealed class CommitBelowOverlayTests
{
    private const int Length = 1 << 20;

    private readonly SimulatedMachine _machine = new();

    [Theory]
    [InlineData("raw", false)]
    [InlineData("raw", true)]
    [InlineData("qcow2", false)]
    [InlineData("qcow2", true)]
    [InlineData("qed", false)]
    [InlineData("qed", true)]
    public void What_a_cancelled_commit_wrote_may_be_lost_when_the_power_fails(string format, bool flushFails)
    {
        _machine.Run(() => CommitHalfAsync(format, flushFails));
        SimulatedMachine next = _machine.Crash();
        next.Run(() => CheckAsync(next));
    }

    [Theory]
    [InlineData("raw")]
    [InlineData("qcow2")]
    [InlineData("qed")]
    public void What_a_cancelled_commit_wrote_may_never_reach_the_disk(string format) => _machine.Run(async () =>
    {
        await CommitHalfAsync(format, flushFails: true);
        _machine.Storage.Faults.Clear();
        await CheckAsync(_machine);
    });

    private async Task CommitHalfAsync(string format, bool flushFails)
    {
        Disk disk = await CreateAsync(format);
        BlockJob job = await disk.StartCommitAsync(new ActiveCommitOptions { BaseName = "/vm/base" });
        JobBreakpoint middle = JobBreakpoint.After(job, Length / 2);
        await middle.ReachedAsync();
        if (flushFails)
        {
            _machine.Storage.Faults.Add(new FaultRule { Operations = StorageOperations.Flush, Path = "/vm/base" });
        }

        job.Cancel();
        middle.Continue();
        Assert.Equal(JobOutcome.Cancelled, (await job.Completion).Outcome);
        try
        {
            await disk.DisposeAsync();
        }
        catch (BlockLayerException) when (flushFails)
        {
            // Of the formats below, only qcow2 has something left to write.
        }
    }

    private static async Task CheckAsync(SimulatedMachine machine)
    {
        await using Disk disk = await Disk.OpenAsync("/vm/top", machine.As("qcow2"));
        byte[] found = new byte[Length];
        await disk.ReadAsync(0, found);
        Assert.Equal(GuestStamp.Create(0, Length, writer: 2), found);
    }

    private async Task<Disk> CreateAsync(string format)
    {
        await CreateAsync("/vm/base", format, backing: null, writer: null);
        await CreateAsync("/vm/overlay", "add-cow", new BackingReference("/vm/base", format), writer: null);
        await CreateAsync("/vm/top", "qcow2", new BackingReference("/vm/overlay", "add-cow"), writer: 2);
        return await Disk.OpenAsync("/vm/top", _machine.As("qcow2"));
    }

    private async Task CreateAsync(string path, string format, BackingReference? backing, int? writer)
    {
        var options = new Dictionary<string, string>();
        if (format == "add-cow")
        {
            options.Add("image_file", "overlay.raw");
        }

        await using Disk disk = await Disk.CreateAsync(path, new NewImage { Format = format, Length = Length, Backing = backing, Options = options }, _machine.As(format));
        if (writer is { } stamp)
        {
            await disk.WriteAsync(0, GuestStamp.Create(0, Length, stamp));
            await disk.FlushAsync();
        }
    }
}
