using BlockLayer.Filters;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Filters;

/// <summary>What a mirror knows of its regions, while its log is slow.</summary>
public class MirrorRegionsTests
{
    [Fact]
    public async Task The_regions_can_be_asked_by_others_while_the_log_is_written()
    {
        var fixture = new MirrorFixture();
        var steps = new HeldSteps();
        await using var log = new MemoryOverlayNode("log", 4096, 512, fixture.Environment) { Steps = steps };
        log.AddReference(); // the mirror's
        fixture.Source.AddReference();
        fixture.Destination.AddReference();
        await using MirrorNode mirror = await MirrorNode.OpenAsync(
            fixture.Source, fixture.Destination, log, new MirrorOptions { RegionSize = MirrorFixture.Region, Sync = MirrorSync.AssumeEqual });
        var asked = new List<bool>();
        steps.Delay = step =>
        {
            var other = new Thread(() => _ = mirror.Status) { IsBackground = true };
            other.Start();
            asked.Add(other.Join(TimeSpan.FromSeconds(5))); // waits for the lock, if there is one
            return ValueTask.CompletedTask;
        };
        await mirror.WriteAsync(0, new byte[512]);
        steps.Delay = null;
        Assert.NotEmpty(asked);
        Assert.DoesNotContain(false, asked);
    }
}
