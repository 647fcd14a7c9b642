using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.TestKit;

namespace BlockLayer.Benchmarks.SideBySide;

/// <summary>A job that both sides do over the same files.</summary>
/// <param name="Name">For people.</param>
/// <param name="Target">The least ratio of speeds aimed at.</param>
internal sealed record JobCase(string Name, double Target)
{
    /// <summary>Makes the files as they are before the job; not measured.</summary>
    internal required Func<Task> PrepareAsync { get; init; }

    /// <summary>The disk's newest image, qcow2.</summary>
    internal required string Image { get; init; }

    /// <summary>Starts our job.</summary>
    internal required Func<Disk, Task<BlockJob>> StartAsync { get; init; }

    /// <summary>What the daemon has open for it.</summary>
    internal required string[] BlockDevices { get; init; }

    /// <summary>The QMP command, whose job is called <c>job</c>.</summary>
    internal required string Command { get; init; }

    /// <summary>True if the job becomes ready and is then told to complete.</summary>
    internal bool IsLive { get; init; }

    /// <summary>Seconds from the start of our job to its end, which comes after everything is durable.</summary>
    internal async Task<double> OursAsync()
    {
        await PrepareAsync();
        await using Disk disk = await Disk.OpenAsync(Image, new DiskOptions { Format = "qcow2" });
        return await Measure.TimeAsync(async () => await EndAsync(await StartAsync(disk)));
    }

    /// <summary>Seconds from the daemon's command to its completion event.</summary>
    internal async Task<double> PeersAsync()
    {
        await PrepareAsync();
        await using StorageDaemon daemon = await StorageDaemon.StartAsync(Path.GetDirectoryName(Image)!, BlockDevices);
        return await Measure.TimeAsync(async () =>
        {
            await daemon.ExecuteAsync(Command);
            if (IsLive)
            {
                await daemon.WaitForAsync("BLOCK_JOB_READY");
                await daemon.ExecuteAsync("""{"execute":"job-complete","arguments":{"id":"job"}}""");
            }

            await daemon.WaitForAsync("BLOCK_JOB_COMPLETED");
        });
    }

    /// <summary>Sees our job to its end.</summary>
    internal static async Task EndAsync(BlockJob job)
    {
        JobResult result = job is LiveCopyJob copy ? await copy.SwitchWhenReadyAsync() : await job.Completion;
        if (result.Outcome != JobOutcome.Completed)
        {
            throw new InvalidOperationException($"{job} was {result.Outcome}", result.Error);
        }
    }
}
