using System.Globalization;
using BlockLayer.Images;
using BlockLayer.Simulation;

namespace BlockLayer.KillHost;

/// <summary>
/// Writes and flushes a disk, and reports each request before it makes it and after its answer: <c>write N OFFSET LENGTH</c>, <c>zero N OFFSET LENGTH</c>, <c>done N</c>,
/// <c>flush N</c>, <c>flushed N</c>. What write N stores is the stamp of writer N. Several may run at once.
/// </summary>
/// <param name="disk">The disk.</param>
/// <param name="say">Where the lines go.</param>
internal sealed class ReportingGuest(Disk disk, Action<string> say)
{
    private const int StripeSectors = 512; // every other stripe is left alone: what it reads is the affair of jobs alone

    private int _requests; // interlocked

    internal async Task RunAsync(SeededRandom random, int requests = int.MaxValue)
    {
        for (int i = 0; i < requests; i++)
        {
            int number = Interlocked.Increment(ref _requests);
            int choice = random.Next(8);
            if (choice == 0)
            {
                say($"flush {number}");
                await disk.FlushAsync().ConfigureAwait(false);
                say($"flushed {number}");
                continue;
            }

            int first = random.Next((int)(disk.Length / 512));
            first -= (first / StripeSectors % 2) * StripeSectors;
            int count = 1 + random.Next(Math.Min(choice == 1 ? 256 : 16, StripeSectors - (first % StripeSectors)));
            (long offset, int length) = (first * 512L, count * 512);
            bool writesZeroes = choice == 2;
            say(string.Create(CultureInfo.InvariantCulture, $"{(writesZeroes ? "zero" : "write")} {number} {offset} {length}"));
            ValueTask request = writesZeroes ? disk.WriteZeroesAsync(offset, length) : disk.WriteAsync(offset, GuestStamp.Create(offset, length, number));
            await request.ConfigureAwait(false);
            say($"done {number}");
        }
    }
}
