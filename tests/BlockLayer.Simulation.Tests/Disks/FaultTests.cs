using BlockLayer.Errors;
using BlockLayer.Primitives;
using BlockLayer.Storage;
using Xunit;

namespace BlockLayer.Simulation.Tests.Disks;

public class FaultTests
{
    private static readonly CancellationToken s_none = CancellationToken.None;

    private readonly SimulationScheduler _scheduler = new(1);
    private readonly SimulatedStorageProvider _storage;

    public FaultTests()
    {
        _storage = new SimulatedStorageProvider(_scheduler);
        _storage.AddFile("/disk", new byte[8192]);
    }

    [Fact]
    public void Only_the_chosen_calls_fail_and_they_are_counted()
    {
        var rule = new FaultRule
        {
            Operations = StorageOperations.Write,
            Path = "/disk",
            Range = new ByteRange(512, 512),
            Skip = 1,
            Count = 2,
            Kind = BlockErrorKind.NoSpace,
        };
        _storage.Faults.Add(rule);
        Run(async disk =>
        {
            await disk.WriteAsync(0, new byte[512], s_none);
            await disk.ReadAsync(512, new byte[512], s_none);
            await disk.WriteAsync(512, new byte[512], s_none);
            for (int i = 0; i < 2; i++)
            {
                var error = await Assert.ThrowsAsync<BlockLayerException>(() => disk.WriteAsync(256, new byte[512], s_none).AsTask());
                Assert.Equal((BlockErrorKind.NoSpace, "/disk", 256L), (error.Kind, error.Path, error.Offset!.Value));
            }

            await disk.WriteAsync(512, new byte[512], s_none);
        });
        Assert.Equal(2, _storage.Faults.CountHits(rule));
    }

    [Fact]
    public void A_write_that_fails_does_nothing_and_one_that_fails_partly_leaves_whole_old_and_new_sectors()
    {
        byte[] data = new byte[16 * 512];
        Array.Fill(data, (byte)7);
        Run(async disk =>
        {
            await FailAsync(FaultEffect.Fail, () => disk.WriteAsync(0, data, s_none));
            Assert.All(_storage.ReadFile("/disk"), value => Assert.Equal(0, value));
            await FailAsync(FaultEffect.FailPartly, () => disk.WriteAsync(0, data, s_none));
        });
        int[] sectors = [.. _storage.ReadFile("/disk").Chunk(512).Select(sector => sector.Distinct().Single()).Select(value => (int)value)];
        Assert.Equal([0, 7], sectors.Distinct().Order());
    }

    [Fact]
    public void A_write_that_fails_afterwards_is_done()
    {
        Run(disk => FailAsync(FaultEffect.FailAfterwards, () => disk.WriteAsync(0, new byte[] { 1 }, s_none)));
        Assert.Equal(1, _storage.ReadFile("/disk")[0]);
    }

    [Fact]
    public void A_lying_write_succeeds_and_stores_nothing()
    {
        _storage.Faults.Add(new FaultRule { Operations = StorageOperations.Write, Effect = FaultEffect.Lie });
        Run(disk => disk.WriteAsync(0, new byte[] { 1 }, s_none).AsTask());
        Assert.Equal(0, _storage.ReadFile("/disk")[0]);
    }

    [Fact]
    public void A_request_that_hangs_is_a_deadlock_for_whoever_awaits_it()
    {
        _storage.Faults.Add(new FaultRule { Operations = StorageOperations.Flush, Effect = FaultEffect.Hang });
        Assert.Throws<SimulationDeadlockException>(() => Run(disk => disk.FlushAsync(s_none).AsTask()));
    }

    [Fact]
    public void A_slow_request_takes_longer()
    {
        _storage.Faults.Add(new FaultRule { Operations = StorageOperations.Read, Effect = FaultEffect.Slow, Delay = TimeSpan.FromSeconds(30) });
        Run(disk => disk.ReadAsync(0, new byte[1], s_none).AsTask());
        Assert.Equal(TimeSpan.FromSeconds(30), _scheduler.Elapsed);
    }

    [Fact]
    public void A_likely_fault_hits_about_as_often_as_it_says()
    {
        var rule = new FaultRule { Operations = StorageOperations.Read, Probability = 0.25 };
        _storage.Faults.Add(rule);
        int failed = 0;
        Run(async disk =>
        {
            for (int i = 0; i < 1000; i++)
            {
                try
                {
                    await disk.ReadAsync(0, new byte[1], s_none);
                }
                catch (BlockLayerException)
                {
                    failed++;
                }
            }
        });
        Assert.InRange(failed, 200, 300);
        Assert.Equal(failed, _storage.Faults.CountHits(rule));
    }

    [Theory]
    [InlineData(FaultEffect.Fail, true)]
    [InlineData(FaultEffect.FailPartly, false)]
    [InlineData(FaultEffect.Lie, true)]
    public void After_a_flush_that_was_none_the_next_one_writes_what_is_still_dirty(FaultEffect effect, bool nextFlushWrites)
    {
        // Of sixteen dirty writes a flush that fails partly drops about half; the next one thinks them clean.
        _storage.Faults.Add(new FaultRule { Operations = StorageOperations.Flush, Count = 1, Effect = effect });
        bool wasDurable = true;
        Run(async disk =>
        {
            for (int sector = 0; sector < 16; sector++)
            {
                await disk.WriteAsync(sector * 512, new byte[] { 1 }, s_none);
            }

            try
            {
                await disk.FlushAsync(s_none);
            }
            catch (BlockLayerException)
            {
                Assert.NotEqual(FaultEffect.Lie, effect);
            }

            wasDurable = CountDurable() == 16;
            await disk.FlushAsync(s_none);
        });
        Assert.False(wasDurable);
        Assert.Equal(nextFlushWrites, CountDurable() == 16);
        Assert.Equal(16, _storage.ReadFile("/disk").Count(value => value == 1)); // reads go on seeing what the cache holds
    }

    [Fact]
    public void A_rule_that_could_hit_nothing_or_turn_time_back_is_refused()
    {
        var good = new FaultRule { Operations = StorageOperations.Write };
        FaultRule[] bad =
        [
            good with { Operations = StorageOperations.None },
            good with { Path = "disk" },
            good with { Path = "/vm/../disk" },
            good with { Skip = -1 },
            good with { Count = -1 },
            good with { Probability = 1.5 },
            good with { Probability = double.NaN },
            good with { Delay = TimeSpan.FromTicks(-1) },
        ];
        foreach (FaultRule rule in bad)
        {
            Assert.ThrowsAny<ArgumentException>(() => _storage.Faults.Add(rule));
            Assert.ThrowsAny<ArgumentException>(() => _storage.Faults.Break(rule));
        }

        _storage.Faults.Add(good);
        var turned = new SimulatedStorageOptions { Latency = new LatencyModel { Fixed = TimeSpan.FromTicks(-1) } };
        Assert.ThrowsAny<ArgumentException>(() => new SimulatedStorageProvider(_scheduler, turned));
    }

    private int CountDurable()
    {
        using var recorder = new CrashRecorder(_storage);
        return recorder.Capture("count").NothingSurvived.Open().ReadFile("/disk").Count(value => value == 1);
    }

    private async Task FailAsync(FaultEffect effect, Func<ValueTask> request)
    {
        var rule = new FaultRule { Operations = StorageOperations.Any, Effect = effect };
        _storage.Faults.Add(rule);
        await Assert.ThrowsAsync<BlockLayerException>(() => request().AsTask());
        Assert.True(_storage.Faults.Remove(rule));
    }

    private void Run(Func<BlockStorage, Task> body) => _scheduler.Run(async () =>
    {
        await using BlockStorage disk = await _storage.OpenAsync("/disk", new StorageOpenOptions { Writable = true }, s_none);
        await body(disk);
    });
}
