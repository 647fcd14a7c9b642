using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Simulation.Tests.Crashes;
using BlockLayer.Simulation.Tests.Crashes.Pulls;
using Xunit;

namespace BlockLayer.Simulation.Tests.Jobs;

/// <summary>
/// Pulls in increments under guests, and a power failure at any moment. Increments flush nothing until the last, so a crash takes back what cursors have passed: whoever goes on from
/// the cursor that he was told before the crash has to be led back there.
/// </summary>
public sealed class IncrementCrashTests
{
    private static readonly CrashEnumeration s_enumeration = new() { ExhaustiveLimit = 5, RandomSubsets = 10, RandomTornStates = 4 };

    [Theory]
    [InlineData("qcow2", false, false)]
    [InlineData("qcow2", true, true)]
    [InlineData("qed", true, false)]
    public async Task After_any_crash_increments_go_on_from_the_last_cursor_and_complete(string format, bool hasIntermediate, bool stopsAtTemplate)
    {
        int points = 0;
        long states = 0;
        int lostUnits = 0;
        for (ulong seed = 1; seed <= 4; seed++)
        {
            var run = new Run(new PullPlan(format, hasIntermediate, stopsAtTemplate) { Geometry = (int)seed }, seed);
            (int seen, long tried) = await run.GoAsync();
            points += seen;
            states += tried;
            lostUnits += run.StatesWithLostUnits;
        }

        CrashTable.Print($"pull in increments: {format} to {(stopsAtTemplate ? "the template" : "no base")}", points, states, "old or new chain; goes on from its cursor");
        Assert.True(states > 200, $"{states} states prove little");
        Assert.True(lostUnits > 0, "no crash took anything back behind a cursor");
    }

    private sealed class Run(PullPlan plan, ulong seed)
    {
        private readonly SimulationScheduler _scheduler = new(seed);
        private long _cursor;

        internal int StatesWithLostUnits { get; private set; }

        internal async Task<(int Points, long States)> GoAsync()
        {
            var storage = new SimulatedStorageProvider(_scheduler, new SimulatedStorageOptions { Seed = seed });
            byte[] content = await PullChain.MakeAsync(plan, storage);
            var oracle = new SectorOracle(content.Length, content);
            using var recorder = new CrashRecorder(storage, oracle) { Observe = () => new Promise(oracle.Snapshot(), _cursor) };
            Disk disk = _scheduler.Run(() => PullChain.OpenAsync(SimulatedEnvironment.Of(_scheduler, storage)).AsTask());
            for (int i = 0; i < plan.GuestCount; i++)
            {
                SeededRandom random = _scheduler.CreateRandom((ulong)i);
                _scheduler.Spawn($"guest {i}", () => new OracleGuest(disk.Root, oracle).RunAsync(random, requests: 4, new GuestProfile { MaxLength = 24 * 1024 }));
            }

            _scheduler.Spawn("caller", async () =>
            {
                while (_cursor < disk.Length)
                {
                    _cursor = (await disk.StreamIncrementAsync(_cursor, Options)).Next;
                    recorder.Capture($"the cursor {_cursor} was told");
                }
            });
            _scheduler.Run();
            _scheduler.Run(() => disk.DisposeAsync().AsTask());
            return (recorder.Images.Count, await CrashCheck.RunAsync(recorder, CheckAsync, s_enumeration));
        }

        private StreamOptions Options => new() { BaseName = plan.StopsAtTemplate ? PullPlan.Template : null };

        private async Task CheckAsync(CrashState state, SimulatedStorageProvider storage)
        {
            var promise = (Promise)state.Image.Observation!;
            await using Disk disk = await PullChain.OpenAsync(SimulatedEnvironment.Inline(storage));
            Assert.Contains(ChainOf(disk), promise.Cursor == PullPlan.Length ? [After] : new[] { Before, After });
            byte[] found = await OracleGuest.ReadAllAsync(disk.Root);
            promise.Disk.Check(found);

            bool isLedBack = false;
            for (long cursor = promise.Cursor; cursor < PullPlan.Length;)
            {
                StreamIncrement increment = await disk.StreamIncrementAsync(cursor, Options);
                isLedBack |= increment.Next < cursor;
                cursor = increment.Next;
            }

            StatesWithLostUnits += isLedBack ? 1 : 0;
            Assert.Equal(After, ChainOf(disk));
            byte[] now = await OracleGuest.ReadAllAsync(disk.Root);
            Assert.True(now.AsSpan().SequenceEqual(found), "the increments changed what the disk reads");
            ImageCheckReport report = await ImageChecker.CheckAsync(disk.Root);
            Assert.True(report.Corruptions == 0, string.Join(Environment.NewLine, report.Findings));
        }

        private string Before => string.Join(" <- ", plan.ChainBefore);

        private string After => string.Join(" <- ", plan.ChainAfter);

        private static string ChainOf(Disk disk) => string.Join(" <- ", disk.Chain.Select(image => image.Path));
    }

    private sealed record Promise(SectorOracle Disk, long Cursor);
}
