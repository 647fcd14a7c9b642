using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Simulation.Tests.Crashes;

/// <summary>The power fails while an image below the top is made writable, filled, and made read-only again.</summary>
public class ReopenCrashTests
{
    private const int Step = 64 * 1024;
    private const int First = 384 * 1024;

    private static readonly CrashEnumeration s_states = new() { ExhaustiveLimit = 6, RandomSubsets = 12, RandomTornStates = 6 };

    // Encryption changes no write's place in the order, and every state would derive a key twice.
    public static TheoryData<string> Kinds => [.. ReopenWorld.Kinds.Where(static kind => !kind.Contains("encrypted", StringComparison.Ordinal))];

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task A_crash_leaves_a_disk_that_reads_the_same_and_after_the_restore_a_clean_image(string kind)
    {
        var storage = new SimulatedStorageProvider();
        using var world = new ReopenWorld(SimulatedEnvironment.Inline(storage), kind);
        byte[] content = await world.CreateAsync();
        bool isRestored = false;
        using var recorder = new CrashRecorder(storage) { Observe = () => isRestored };
        await using (BlockNode top = await world.OpenAsync())
        {
            WritingJob job = await WritingJob.StartAsync(top.Backing!);
            for (int offset = First; offset < First + (3 * Step); offset += Step)
            {
                if (top.Backing!.Limits.SupportsPopulate)
                {
                    await job.Way.PopulateAsync(offset, content.AsMemory(offset, Step), CancellationToken.None);
                }

                await job.Way.WriteAsync(ReopenWorld.MiddleLength - 5000, content.AsMemory(ReopenWorld.MiddleLength - 5000, 5000), CancellationToken.None);
            }

            await job.EndAsync();
            isRestored = true;
            recorder.Capture("restored");
        }

        long states = await CrashCheck.RunAsync(
            recorder,
            async (state, crashed) =>
            {
                using var left = new ReopenWorld(SimulatedEnvironment.Inline(crashed), kind);
                await using (BlockNode disk = await left.OpenAsync())
                {
                    byte[] found = await OracleGuest.ReadAllAsync(disk);
                    Assert.Equal(content.Length, content.AsSpan().CommonPrefixLength(found));
                }

                await AssertMiddleAsync(left, isClean: (bool)state.Image.Observation!);
            },
            s_states);
        Assert.InRange(states, kind == "raw" ? 3 : 10, 20_000);
        CrashTable.Print($"{kind}: reopened under an overlay, filled, restored", recorder, states, "same disk; clean once restored");
    }

    private static async Task AssertMiddleAsync(ReopenWorld world, bool isClean)
    {
        await using BlockNode middle = await world.OpenMiddleAsync();
        if (ImageChecker.CanCheck(middle))
        {
            ImageCheckReport report = await ImageChecker.CheckAsync(middle);
            Assert.True(report is { Corruptions: 0, CheckErrors: 0 }, string.Join(' ', report.Findings));
            Assert.True(!isClean || report.Leaks == 0, string.Join(' ', report.Findings));
        }

        if (isClean)
        {
            Assert.False((middle as IImageDetails)?.GetDetails().IsDirty ?? false);
            Assert.All(ImageBitmaps.List(middle), static bitmap => Assert.Null(bitmap.Problem));
        }
    }
}
