using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Filters;

public class WriteLogTests
{
    private const int Length = 256 * 1024;

    [Fact]
    public async Task Any_moment_of_a_disks_life_can_be_replayed()
    {
        await using WriteLogNode logged = NewLogged();
        var moments = new List<byte[]> { new byte[Length] };
        var random = new Random(7);
        for (int i = 0; i < 60; i++)
        {
            int offset = random.Next(Length);
            int length = random.Next(1, Math.Min(40_000, Length - offset) + 1);
            switch (random.Next(4))
            {
                case 0:
                    await logged.WriteZeroesAsync(offset, length);
                    break;
                case 1:
                    await logged.FlushAsync();
                    break;
                default:
                    byte[] bytes = new byte[length];
                    random.NextBytes(bytes);
                    await logged.WriteAsync(offset, bytes);
                    break;
            }

            moments.Add(await ReadAllAsync(logged));
        }

        IReadOnlyList<WriteLogEntry> entries = logged.Entries;
        Assert.Equal(60, entries.Count);
        for (int count = 0; count <= entries.Count; count += 7)
        {
            await using var replayed = new MemoryOverlayNode("replayed", Length, 16384, TestEnvironment.Inline());
            await WriteLogNode.ReplayAsync(entries, count, replayed);
            Assert.Equal(moments[count], await ReadAllAsync(replayed));
        }
    }

    [Fact]
    public async Task A_flush_stands_in_the_log_after_what_it_covers_and_before_what_came_during_it()
    {
        await using WriteLogNode logged = NewLogged();
        var image = (MemoryOverlayNode)logged.SkipFilters();
        var steps = new HeldSteps();
        image.Steps = steps;
        await logged.WriteAsync(0, new byte[512]);
        steps.Hold(OverlayStep.Flush);
        Task flush = logged.FlushAsync().AsTask();
        await logged.WriteAsync(512, new byte[512]);
        steps.Release(OverlayStep.Flush);
        await flush;
        Assert.Equal([WriteLogKind.Write, WriteLogKind.Flush, WriteLogKind.Write], logged.Entries.Select(entry => entry.Kind));
    }

    [Fact]
    public async Task Overlapping_writes_stand_in_the_log_in_the_order_in_which_they_took_effect()
    {
        await using WriteLogNode logged = NewLogged();
        Task[] writers = [.. Enumerable.Range(1, 8).Select(writer => Task.Run(async () =>
        {
            for (int i = 0; i < 50; i++)
            {
                byte[] bytes = new byte[3000];
                Array.Fill(bytes, (byte)writer);
                await logged.WriteAsync(writer * 700, bytes);
            }
        }))];
        await Task.WhenAll(writers);

        await using var replayed = new MemoryOverlayNode("replayed", Length, 4096, TestEnvironment.Inline());
        await WriteLogNode.ReplayAsync(logged.Entries, logged.Entries.Count, replayed);
        Assert.Equal(await ReadAllAsync(logged), await ReadAllAsync(replayed));
    }

    private static WriteLogNode NewLogged() => new(new MemoryOverlayNode("disk", Length, 4096, TestEnvironment.Inline()));

    private static async Task<byte[]> ReadAllAsync(BlockNode node)
    {
        byte[] content = new byte[Length];
        await node.ReadAsync(0, content);
        return content;
    }
}
