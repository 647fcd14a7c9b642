using System.Globalization;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Simulation;
using BlockLayer.TestKit;

namespace BlockLayer.KillHost;

/// <summary>
/// Guests that write and flush a disk while a job works on it, without an end, and report each request before they make it and after its answer:
/// <c>write N OFFSET LENGTH</c>, <c>zero N OFFSET LENGTH</c>, <c>done N</c>, <c>flush N</c>, <c>flushed N</c>. What write N stores is the stamp of writer N.
/// </summary>
/// <param name="environment">Where the disk is.</param>
/// <param name="report">Where the lines go.</param>
/// <param name="seed">Decides the requests.</param>
/// <param name="bytesPerSecond">How fast the job copies: slow enough for guests to meet it.</param>
internal sealed class GuestRun(BlockEnvironment environment, Report report, ulong seed, long bytesPerSecond)
{
    /// <summary>The line that says that the job has succeeded.</summary>
    internal const string Told = "told";

    private const int GuestCount = 2;
    private const int RequestsBefore = 40;
    private const int RequestsAfterwards = 10;
    private const int StripeSectors = 512; // guests change every other stripe: what the others read is the job's affair alone

    private int _requests; // interlocked

    /// <summary>Ends when the job has, some requests later.</summary>
    internal async Task RunAsync(string path, HostJob what, KillStage stage)
    {
        Disk disk = await Disk.OpenAsync(path, new DiskOptions { Environment = environment }).ConfigureAwait(false);
        var random = new SeededRandom(seed);
        await RunGuestAsync(disk, random, RequestsBefore).ConfigureAwait(false);
        Task[] guests = [.. Enumerable.Range(0, GuestCount).Select(guest => environment.Work.StartAsync(() => RunGuestAsync(disk, random.Fork((ulong)guest))))];
        BlockJob job = await what.StartAsync(disk, bytesPerSecond).ConfigureAwait(false);
        job.Notified += (_, change) =>
        {
            if (change is JobStateChanged { State: JobState.Waiting })
            {
                stage.BeginFinishing();
            }
        };
        Task<JobResult> end = job is LiveCopyJob copy ? copy.SwitchWhenReadyAsync() : job.Completion;
        await await Task.WhenAny([end, .. guests]).ConfigureAwait(false); // a guest ends only by failing
        JobResult result = await end.ConfigureAwait(false);
        if (result.Outcome != JobOutcome.Completed)
        {
            throw new InvalidOperationException($"{job} was {result.Outcome}.", result.Error);
        }

        report.Send(Told);
        await RunGuestAsync(disk, random, RequestsAfterwards).ConfigureAwait(false);
    }

    private async Task RunGuestAsync(Disk disk, SeededRandom random, int requests = int.MaxValue)
    {
        for (int i = 0; i < requests; i++)
        {
            int number = Interlocked.Increment(ref _requests);
            int choice = random.Next(8);
            if (choice == 0)
            {
                report.Send($"flush {number}");
                await disk.FlushAsync().ConfigureAwait(false);
                report.Send($"flushed {number}");
                continue;
            }

            int first = random.Next((int)(disk.Length / 512));
            first -= (first / StripeSectors % 2) * StripeSectors;
            int count = 1 + random.Next(Math.Min(choice == 1 ? 256 : 16, StripeSectors - (first % StripeSectors)));
            (long offset, int length) = (first * 512L, count * 512);
            bool writesZeroes = choice == 2;
            report.Send(string.Create(CultureInfo.InvariantCulture, $"{(writesZeroes ? "zero" : "write")} {number} {offset} {length}"));
            ValueTask request = writesZeroes ? disk.WriteZeroesAsync(offset, length) : disk.WriteAsync(offset, GuestStamp.Create(offset, length, number));
            await request.ConfigureAwait(false);
            report.Send($"done {number}");
        }
    }
}
