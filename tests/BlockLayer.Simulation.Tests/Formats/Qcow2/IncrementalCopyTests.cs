using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Primitives;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Formats.Qcow2;

/// <summary>
/// What bitmaps are for: a copy of the disk that is brought up to date from time to time, while guests write, by copying only what a bitmap shows. In the end it has to
/// be the disk.
/// </summary>
public sealed class IncrementalCopyTests
{
    private const int Length = 64 * 1024;
    private const int GuestCount = 3;

    [Theory]
    [InlineData(512, 512)]
    [InlineData(1024, 4096)]
    [InlineData(4096, 512)]
    public void A_copy_that_follows_the_bitmaps_misses_nothing(int clusterSize, int granularity)
        => SimulationSearch.Run(seeds: Effort.Times(40), scheduler => new Run(scheduler, clusterSize, granularity).Execute(probabilityOfFaults: 0));

    [Fact]
    public void A_copy_that_follows_the_bitmaps_misses_no_write_that_failed_half_way()
    {
        long hits = 0;
        SimulationSearch.Run(seeds: Effort.Times(40), scheduler =>
        {
            var run = new Run(scheduler, clusterSize: 1024, granularity: 512);
            run.Execute(probabilityOfFaults: 0.05);
            hits += run.FaultHits;
        });
        Assert.True(hits > 0, "no write failed");
    }

    private sealed class Run(SimulationScheduler scheduler, int clusterSize, int granularity)
    {
        private readonly SimulatedStorageProvider _storage = new(scheduler, new SimulatedStorageOptions { Seed = scheduler.Seed });
        private readonly SeededRandom _random = scheduler.CreateRandom(11);
        private readonly byte[] _copy = new byte[Length];
        private int _generation;

        /// <summary>How many writes were made to fail half way.</summary>
        internal long FaultHits { get; private set; }

        internal void Execute(double probabilityOfFaults)
        {
            Qcow2Node node = scheduler.Run(CreateAsync);
            for (int session = 0; session < 2; session++)
            {
                // Faults end before the bitmaps are stored: one that could not be stored says so, and a copy starts anew.
                var fault = new FaultRule { Operations = StorageOperations.Write, Path = "/disk", Probability = probabilityOfFaults, Effect = FaultEffect.FailPartly };
                if (probabilityOfFaults > 0)
                {
                    _storage.Faults.Add(fault);
                }

                for (int guest = 0; guest < GuestCount; guest++)
                {
                    scheduler.Spawn($"guest {guest}", () => GuestAsync(node));
                }

                if (probabilityOfFaults == 0)
                {
                    scheduler.Spawn("copier", async () =>
                    {
                        for (int i = 0; i < 6; i++)
                        {
                            await CatchUpAsync(node);
                            await node.ReadAsync(0, new byte[512]); // as any guest: the door is open meanwhile
                        }
                    });
                }

                scheduler.Run();
                FaultHits += _storage.Faults.Hits;
                _storage.Faults.Clear();
                node = scheduler.Run(async () =>
                {
                    await node.DisposeAsync(); // the bits go to disk and come back
                    return await OpenAsync();
                });
            }

            scheduler.Run(async () =>
            {
                await CatchUpAsync(node);
                byte[] disk = new byte[Length];
                await node.ReadAsync(0, disk);
                int difference = _copy.AsSpan().CommonPrefixLength(disk);
                Assert.True(difference == Length, $"byte {difference} of the disk was written and is not in the copy");
                ImageCheckReport report = await node.CheckAsync(progress: null, CancellationToken.None);
                Assert.True(report.IsClean, string.Join('\n', report.Findings));
                await node.DisposeAsync();
            });
        }

        /// <summary>A new bitmap takes over before the old one is read, so every write is in one of them.</summary>
        private async Task CatchUpAsync(Qcow2Node node)
        {
            string old = $"copy-{_generation++}";
            await ImageBitmaps.AddAsync(node, $"copy-{_generation}", new NewBitmap { Granularity = granularity });
            await ImageBitmaps.DisableAsync(node, old);
            await foreach (ByteRange range in ImageBitmaps.ReadAsync(node, old))
            {
                byte[] bytes = new byte[range.Length];
                await node.ReadAsync(range.Offset, bytes);
                bytes.CopyTo(_copy, range.Offset);
            }

            await ImageBitmaps.RemoveAsync(node, old);
        }

        private async Task GuestAsync(Qcow2Node node)
        {
            for (int i = 0; i < 12; i++)
            {
                int first = _random.Next(Length / 512);
                int count = 1 + _random.Next(Math.Min(8, (Length / 512) - first));
                (long offset, int length) = (first * 512L, count * 512);
                try
                {
                    await (_random.Next(6) switch
                    {
                        0 => node.WriteZeroesAsync(offset, length),
                        1 => node.DiscardAsync(offset, length),
                        2 => node.FlushAsync(),
                        _ => node.WriteAsync(offset, GuestStamp.Create(offset, length, writer: 1 + _random.Next(1000))),
                    });
                }
                catch (Errors.BlockLayerException error) when (error.Message.StartsWith("Injected fault", StringComparison.Ordinal))
                {
                    // It may have written a part.
                }
            }
        }

        private async Task<Qcow2Node> CreateAsync()
        {
            BlockStorage file = await _storage.OpenAsync("disk", new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateOrTruncate }, CancellationToken.None);
            await using (var created = new StorageNode(file, EnvironmentOf()))
            {
                await Qcow2Format.Instance.CreateAsync(created, new Qcow2CreateOptions { Length = Length, ClusterSize = clusterSize }, CancellationToken.None);
            }

            Qcow2Node node = await OpenAsync();
            await ImageBitmaps.AddAsync(node, "copy-0", new NewBitmap { Granularity = granularity });
            return node;
        }

        private async Task<Qcow2Node> OpenAsync()
        {
            BlockStorage file = await _storage.OpenAsync("disk", new StorageOpenOptions { Writable = true }, CancellationToken.None);
            var context = new FormatOpenContext { NodeName = "disk", Access = NodeAccess.ReadWrite };
            return (Qcow2Node)await Qcow2Format.Instance.OpenAsync(new StorageNode(file, EnvironmentOf()), context, CancellationToken.None);
        }

        private BlockEnvironment EnvironmentOf() => new() { Files = _storage, Work = scheduler.Work, Time = scheduler.Time };
    }
}
