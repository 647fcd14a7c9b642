using BlockLayer.Formats.CowOverlay;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Simulation.Tests.Crashes;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.CowOverlay;
using Xunit;

namespace BlockLayer.Simulation.Tests.Formats.CowOverlay;

/// <summary>
/// Every state that a power failure can leave of an overlay's three files: each sector as promised, by us and by a program that knows the specification alone, and
/// the overlay goes on living.
/// </summary>
public sealed class CowOverlayCrashTests
{
    private const int Cluster = 4096;
    private const int Length = (10 * Cluster) + 512;
    private const int BaseLength = (6 * Cluster) + 1024;

    private static readonly CrashEnumeration s_states = new() { ExhaustiveLimit = 6, RandomSubsets = 40, RandomTornStates = 12 };

    [Fact]
    public async Task Guests_and_copies_from_below_survive_every_crash()
    {
        long states = 0;
        int points = 0;
        for (ulong seed = 1; seed <= (ulong)Effort.Times(5); seed++)
        {
            (CrashRecorder recorder, long checkedStates) = await CheckGuestsAsync(seed, faults: new FaultPlan());
            (states, points) = (states + checkedStates, points + recorder.Images.Count);
        }

        CrashTable.Print("add-cow: write, zero, discard, populate, flush", points, states, "flushed or later");
        Assert.InRange(states, 1000, 1_000_000);
    }

    // The order across the two files is what is tested: without the sync of the one or of the other a bit outlives its data, or data its promise.
    [Theory]
    [InlineData(CowOverlayWorld.Image)]
    [InlineData(CowOverlayWorld.Top)]
    public async Task A_file_whose_flushes_lie_is_noticed(string path)
    {
        int noticed = 0;
        for (ulong seed = 1; seed <= 4; seed++)
        {
            var faults = new FaultPlan();
            faults.Add(new FaultRule { Operations = StorageOperations.Flush, Path = path, Probability = 0.7, Effect = FaultEffect.Lie });
            try
            {
                await CheckGuestsAsync(seed, faults);
            }
            catch (CrashCheckException)
            {
                noticed++;
            }
        }

        Assert.InRange(noticed, 3, 4);
    }

    [Fact]
    public async Task A_changed_backing_name_is_the_old_one_or_the_new_one()
    {
        BackingReference[] names = [CowOverlayWorld.OverBase, new(new string('n', 1000), "raw"), new("x", "qed"), new(new string('y', 900), "qcow2"), CowOverlayWorld.OverBase];
        SimulatedStorageProvider storage = await PrepareAsync(new SimulatedStorageProvider());
        int recorded = 0;
        using var recorder = new CrashRecorder(storage, points: CapturePoints.EveryOperation) { Observe = () => recorded };
        await using (CowOverlayNode node = await WorldOf(storage).OpenAsync())
        {
            for (int i = 1; i < names.Length; i++)
            {
                await node.RecordBackingAsync(names[i], CancellationToken.None);
                recorded = i;
            }
        }

        byte[] stored = storage.ReadFile(CowOverlayWorld.Image);
        long states = await CrashCheck.RunAsync(recorder, async (state, reopened) =>
        {
            await using CowOverlayNode node = await WorldOf(reopened).OpenAsync(NodeAccess.ReadOnly, BackingMode.Ignore);
            int promised = (int)state.Image.Observation!;
            Assert.Contains(node.BackingReference, names.Skip(promised).Take(2));
            var peer = new AddCowByTheBook(reopened.ReadFile(CowOverlayWorld.Top), stored, []);
            Assert.Equal((node.BackingReference!.Name, node.BackingReference.Format), (peer.Names.Backing, peer.BackingFormat));
        });
        CrashTable.Print("add-cow: another backing file, four times", recorder, states, "old or new name");
        Assert.InRange(states, 50, 100_000);
    }

    [Fact]
    public async Task A_grown_disk_has_its_old_length_or_zeroes_although_the_base_goes_on()
    {
        const int Short = (2 * Cluster) + 512;
        byte[] grown = new byte[Length];
        BaseContent().AsSpan(0, Short).CopyTo(grown);
        await CheckResizeAsync(
            Short,
            Length,
            "add-cow: grow over a longer base",
            found => Assert.Equal(found.Length, found.AsSpan().CommonPrefixLength(grown)));
    }

    [Fact]
    public async Task A_shrunk_disk_has_its_old_content_or_the_start_of_it()
    {
        byte[] before = new byte[Length];
        BaseContent().CopyTo(before, 0);
        GuestStamp.Create(7 * Cluster, 2 * Cluster, writer: 5).CopyTo(before, 7 * Cluster);
        await CheckResizeAsync(
            Length,
            (3 * Cluster) + 512,
            "add-cow: shrink",
            found => Assert.Equal(found.Length, found.AsSpan().CommonPrefixLength(before)),
            node => node.WriteAsync(7 * Cluster, before.AsMemory(7 * Cluster, 2 * Cluster)));
    }

    [Fact]
    public async Task An_emptied_overlay_shows_its_base_at_every_moment()
    {
        (CrashRecorder recorder, long states) = await CheckEmptyingAsync();
        CrashTable.Print("add-cow: empty over a base that has the same", recorder, states, "shows the same; told: holds nothing");
        Assert.InRange(states, 50, 100_000);
    }

    // Room given back under a bit that the disk still has would read as zeroes.
    [Fact]
    public async Task Bits_that_were_not_cleared_durably_are_noticed_when_the_room_is_given_back()
    {
        var lie = new FaultRule { Operations = StorageOperations.Flush, Path = CowOverlayWorld.Top, Effect = FaultEffect.Lie };
        await Assert.ThrowsAsync<CrashCheckException>(() => CheckEmptyingAsync(lie));
    }

    // Nothing was flushed before: finishing sees to it itself, before the header says so.
    [Fact]
    public async Task An_overlay_that_is_finished_by_its_guest_is_whole_or_still_an_overlay()
    {
        SimulatedStorageProvider storage = await PrepareAsync(new SimulatedStorageProvider());
        byte[] content = GuestStamp.Create(0, Length, writer: 5);
        var oracle = new SectorOracle(Length, Initial());
        bool told = false;
        using var recorder = new CrashRecorder(storage, oracle, CapturePoints.EveryOperation);
        recorder.Observe = () => new Promise(oracle.Snapshot(), told);
        await using CowOverlayNode node = await WorldOf(storage).OpenAsync();
        OracleWrite write = oracle.BeginWrite(0, content);
        await node.WriteAsync(0, content);
        oracle.Complete(write);
        await ImageFinisher.FinishAsync(node);
        told = true;
        long states = await CrashCheck.RunAsync(recorder, CheckCompletedAsync, s_states);
        CrashTable.Print("add-cow: finish", recorder, states, "overlay, or raw disk alone");
        Assert.InRange(states, 50, 100_000);
    }

    [Fact]
    public async Task A_pull_under_guests_ends_as_a_raw_disk_and_keeps_every_promise_on_the_way()
    {
        long states = 0;
        int points = 0;
        for (ulong seed = 1; seed <= (ulong)Effort.Times(5); seed++)
        {
            (CrashRecorder recorder, long checkedStates) = await CheckPullAsync(seed);
            (states, points) = (states + checkedStates, points + recorder.Images.Count);
        }

        CrashTable.Print("add-cow: pull without a base, under guests", points, states, "flushed or later; told: raw disk");
        Assert.InRange(states, 500, 1_000_000);
    }

    private static async Task<(CrashRecorder Recorder, long States)> CheckGuestsAsync(ulong seed, FaultPlan faults)
    {
        var scheduler = new SimulationScheduler(seed);
        SimulatedStorageProvider storage = await PrepareAsync(new SimulatedStorageProvider(scheduler, new SimulatedStorageOptions { Faults = faults }));
        var oracle = new SectorOracle(Length, Initial());
        using var recorder = new CrashRecorder(storage, oracle);
        scheduler.Run(async () =>
        {
            await using CowOverlayNode node = await new CowOverlayWorld { Environment = SimulatedEnvironment.Of(scheduler, storage) }.OpenAsync();
            var guest = new OracleGuest(node, oracle);
            for (ulong round = 0; round < 3; round++)
            {
                await Task.WhenAll(
                    guest.RunAsync(scheduler.CreateRandom((10 * round) + 1), requests: 4, new GuestProfile { MaxLength = 5 * Cluster, Reads = 1 }),
                    guest.RunAsync(scheduler.CreateRandom((10 * round) + 2), requests: 4, new GuestProfile { MaxLength = 5 * Cluster, Reads = 1 }),
                    CopyAsync(node, (int)round));
            }
        });
        return (recorder, await CrashCheck.RunAsync(recorder, VerifyGuestsAsync, s_states));
    }

    // A streamer stores what the base has, here and there, while guests write.
    private static async Task CopyAsync(CowOverlayNode node, int round)
    {
        byte[] content = new byte[Length];
        BaseContent().CopyTo(content, 0);
        for (int cluster = round; cluster * Cluster < Length; cluster += 3)
        {
            int offset = cluster * Cluster;
            await node.PopulateAsync(offset, content.AsMemory(offset, Math.Min(Cluster, Length - offset)));
        }
    }

    private static async Task VerifyGuestsAsync(CrashState state, SimulatedStorageProvider storage)
    {
        CowOverlayWorld world = WorldOf(storage);
        var oracle = (SectorOracle)state.Image.Observation!;
        byte[] byTheBook = new AddCowByTheBook(
            storage.ReadFile(CowOverlayWorld.Top), storage.ReadFile(CowOverlayWorld.Image), storage.ReadFile(CowOverlayWorld.Base)).ReadAll();
        oracle.Check(byTheBook);
        byte[] found = await world.ReadDiskAsync();
        Assert.Equal(found.Length, found.AsSpan().CommonPrefixLength(byTheBook));

        // The overlay goes on living: it opens to be written, keeps its content, and is clean when closed.
        byte[] news = GuestStamp.Create(Cluster, 512, writer: 999);
        await using (CowOverlayNode node = await world.OpenAsync())
        {
            await node.WriteAsync(Cluster, news);
            news.CopyTo(found, Cluster);
        }

        await using CowOverlayNode again = await world.OpenAsync(NodeAccess.ReadOnly);
        byte[] reread = new byte[Length];
        await again.ReadAsync(0, reread);
        Assert.Equal(found.Length, found.AsSpan().CommonPrefixLength(reread));
        ImageCheckReport check = await again.CheckAsync(progress: null, CancellationToken.None);
        Assert.True(check.IsClean && again.Record is { IsClean: true, Base: not null }, string.Join(' ', check.Findings));
    }

    private static async Task CheckResizeAsync(int before, int after, string operation, Action<byte[]> check, Func<CowOverlayNode, ValueTask>? prepare = null)
    {
        SimulatedStorageProvider storage = await PrepareAsync(new SimulatedStorageProvider(), before);
        int promised = before;
        await using CowOverlayNode node = await WorldOf(storage).OpenAsync();
        if (prepare is not null)
        {
            await prepare(node);
            await node.FlushAsync();
        }

        using var recorder = new CrashRecorder(storage, points: CapturePoints.EveryOperation) { Observe = () => promised };
        await node.ResizeAsync(after, new ResizeOptions { AllowShrink = true });
        promised = after;
        long states = await CrashCheck.RunAsync(
            recorder,
            async (state, reopened) =>
            {
                byte[] found = await WorldOf(reopened).ReadDiskAsync();
                int told = (int)state.Image.Observation!;
                Assert.True(found.Length == after || (found.Length == before && told == before), $"{found.Length} bytes long, {told} were told");
                check(found);

                // Whatever was left, it can be written and resized again.
                await using CowOverlayNode opened = await WorldOf(reopened).OpenAsync();
                await opened.ResizeAsync(Length + Cluster);
                byte[] longer = new byte[Length + Cluster];
                await opened.ReadAsync(0, longer);
                Assert.True(longer.AsSpan(found.Length).IndexOfAnyExcept((byte)0) < 0, "what is added is not zero");
            },
            s_states);
        CrashTable.Print(operation, recorder, states, "old or new length");
        Assert.InRange(states, 15, 100_000);
    }

    // The overlay holds what its base shows, as after a commit.
    private static async Task<(CrashRecorder Recorder, long States)> CheckEmptyingAsync(params FaultRule[] faults)
    {
        SimulatedStorageProvider storage = await PrepareAsync(new SimulatedStorageProvider());
        await using (CowOverlayNode full = await WorldOf(storage).OpenAsync())
        {
            await CopyAsync(full, 0);
            await CopyAsync(full, 1);
        }

        Array.ForEach(faults, storage.Faults.Add);
        bool told = false;
        using var recorder = new CrashRecorder(storage, points: CapturePoints.EveryOperation) { Observe = () => told };
        await using CowOverlayNode node = await WorldOf(storage).OpenAsync();
        await node.MakeEmptyAsync(static () => { }, CancellationToken.None);
        told = true;
        recorder.Capture("success was told");
        return (recorder, await CrashCheck.RunAsync(recorder, CheckEmptiedAsync, s_states));
    }

    private static async Task CheckEmptiedAsync(CrashState state, SimulatedStorageProvider storage)
    {
        byte[] byTheBook = new AddCowByTheBook(
            storage.ReadFile(CowOverlayWorld.Top), storage.ReadFile(CowOverlayWorld.Image), storage.ReadFile(CowOverlayWorld.Base)).ReadAll();
        Assert.Equal(Length, byTheBook.AsSpan().CommonPrefixLength(Initial()));
        Assert.Equal(Length, (await WorldOf(storage).ReadDiskAsync()).AsSpan().CommonPrefixLength(Initial()));
        await using CowOverlayNode node = await WorldOf(storage).OpenAsync(NodeAccess.ReadOnly);
        BlockStatus status = await node.GetStatusAsync(0, Length, StatusDepth.Node);
        Assert.True(!(bool)state.Image.Observation! || status is { IsAllocated: false, Length: Length }, "success was told, and the overlay holds something");
    }

    private static async Task<(CrashRecorder Recorder, long States)> CheckPullAsync(ulong seed)
    {
        var scheduler = new SimulationScheduler(seed);
        SimulatedStorageProvider storage = await PrepareAsync(new SimulatedStorageProvider(scheduler));
        var oracle = new SectorOracle(Length, Initial());
        bool told = false;
        using var recorder = new CrashRecorder(storage, oracle);
        recorder.Observe = () => new Promise(oracle.Snapshot(), told);
        Disk disk = scheduler.Run(() => Disk.OpenAsync(CowOverlayWorld.Top, new DiskOptions { Environment = SimulatedEnvironment.Of(scheduler, storage) }).AsTask());
        for (ulong i = 1; i <= 2; i++)
        {
            SeededRandom random = scheduler.CreateRandom(i);
            scheduler.Spawn($"guest {i}", () => new OracleGuest(disk.Root, oracle).RunAsync(random, requests: 6, new GuestProfile { MaxLength = 5 * Cluster }));
        }

        scheduler.Spawn("puller", async () =>
        {
            StreamJob job = await disk.StartPullAsync();
            JobResult result = await job.Completion;
            Assert.True(result.Outcome == JobOutcome.Completed, result.Error?.ToString());
            told = true;
        });
        scheduler.Run();
        scheduler.Run(() => disk.DisposeAsync().AsTask());
        return (recorder, await CrashCheck.RunAsync(recorder, CheckCompletedAsync, s_states));
    }

    // Once success was told, the image file is the disk; whenever the header says so, it is.
    private static async Task CheckCompletedAsync(CrashState state, SimulatedStorageProvider storage)
    {
        var promise = (Promise)state.Image.Observation!;
        byte[] found = await WorldOf(storage).ReadDiskAsync();
        promise.Oracle.Check(found);
        await using CowOverlayNode node = await WorldOf(storage).OpenAsync(NodeAccess.ReadOnly);
        Assert.True(node.IsAllAllocated || !promise.IsTold, "success was told, and the overlay still needs its base");
        if (node.IsAllAllocated)
        {
            Assert.Equal(Length, storage.ReadFile(CowOverlayWorld.Image).AsSpan().CommonPrefixLength(found));
        }
    }

    private static async Task<SimulatedStorageProvider> PrepareAsync(SimulatedStorageProvider storage, int length = Length)
    {
        var drawing = new SimulatedStorageProvider();
        drawing.AddFile(CowOverlayWorld.Base, BaseContent());
        await WorldOf(drawing).CreateAsync(length, Cluster, CowOverlayWorld.OverBase);
        foreach (string path in new[] { CowOverlayWorld.Top, CowOverlayWorld.Image, CowOverlayWorld.Base })
        {
            storage.AddFile(path, drawing.ReadFile(path));
        }

        return storage;
    }

    private static CowOverlayWorld WorldOf(SimulatedStorageProvider storage) => new() { Environment = SimulatedEnvironment.Inline(storage) };

    private static byte[] Initial()
    {
        byte[] content = new byte[Length];
        BaseContent().CopyTo(content, 0);
        return content;
    }

    private static byte[] BaseContent() => GuestStamp.Create(0, BaseLength, writer: 1_000_000);

    private sealed record Promise(SectorOracle Oracle, bool IsTold);
}
