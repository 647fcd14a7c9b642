using System.Globalization;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Simulation;

namespace BlockLayer.KillHost;

/// <summary>
/// Guests that write and flush a disk while it is pulled, without an end, and report each request before they make it and after its answer:
/// <c>write N OFFSET LENGTH</c>, <c>zero N OFFSET LENGTH</c>, <c>done N</c>, <c>flush N</c>, <c>flushed N</c>. What write N stores is the stamp of writer N.
/// </summary>
/// <param name="environment">Where the disk is.</param>
/// <param name="report">Where the lines go.</param>
/// <param name="seed">Decides the requests.</param>
/// <param name="bytesPerSecond">How fast the pull copies: slow enough for guests to meet it.</param>
internal sealed class GuestRun(BlockEnvironment environment, Report report, ulong seed, long bytesPerSecond)
{
    /// <summary>The line that says that the pull has succeeded.</summary>
    internal const string Pulled = "pulled";

    private const int GuestCount = 2;
    private const int RequestsBefore = 40;
    private const int RequestsAfterwards = 10;

    private int _requests; // interlocked

    /// <summary>Ends when the pull has, some requests later.</summary>
    internal async Task RunAsync(string path, string? basePath)
    {
        Disk disk = await Disk.OpenAsync(path, new DiskOptions { Environment = environment }).ConfigureAwait(false);
        var random = new SeededRandom(seed);
        await RunGuestAsync(disk, random, RequestsBefore).ConfigureAwait(false);
        Task[] guests = [.. Enumerable.Range(0, GuestCount).Select(guest => environment.Work.StartAsync(() => RunGuestAsync(disk, random.Fork((ulong)guest))))];
        StreamJob job = await disk.StartPullAsync(new StreamOptions { BaseName = basePath, BytesPerSecond = bytesPerSecond }).ConfigureAwait(false);
        await await Task.WhenAny([job.Completion, .. guests]).ConfigureAwait(false); // a guest ends only by failing
        JobResult result = await job.Completion.ConfigureAwait(false);
        if (result.Error is { } error)
        {
            throw new InvalidOperationException("The pull failed.", error);
        }

        report.Send(Pulled);
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

            int sectors = (int)(disk.Length / 512);
            int first = random.Next(sectors);
            int count = 1 + random.Next(Math.Min(choice == 1 ? 256 : 16, sectors - first));
            (long offset, int length) = (first * 512L, count * 512);
            bool writesZeroes = choice == 2;
            report.Send(string.Create(CultureInfo.InvariantCulture, $"{(writesZeroes ? "zero" : "write")} {number} {offset} {length}"));
            ValueTask request = writesZeroes ? disk.WriteZeroesAsync(offset, length) : disk.WriteAsync(offset, GuestStamp.Create(offset, length, number));
            await request.ConfigureAwait(false);
            report.Send($"done {number}");
        }
    }
}
