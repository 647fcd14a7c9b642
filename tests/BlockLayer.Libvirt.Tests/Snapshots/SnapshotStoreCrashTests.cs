using BlockLayer.Errors;
using BlockLayer.Simulation;
using BlockLayer.Simulation.Tests.Crashes;
using Xunit;
using static BlockLayer.Libvirt.Tests.Snapshots.SnapshotSamples;

namespace BlockLayer.Libvirt.Tests.Snapshots;

/// <summary>Whatever a power failure leaves of the store is its state before the change that was under way, or after it.</summary>
public class SnapshotStoreCrashTests
{
    [Fact]
    public async Task A_crash_leaves_the_state_before_a_change_or_after_it()
    {
        var files = new SimulatedStorageProvider();
        SnapshotStore store = await SnapshotStoreTests.WithTwoAsync(files);
        (long states, int points) = await RunAsync(files, store);
        CrashTable.Print("snapshot store: make, delete step by step, forget", points, states, "old state or new");
        Assert.InRange(states, 30, 100_000);
    }

    // The store's promise rests on two flushes a change: of the new file, and of the folder. Without one of them the enumeration must find it.
    [Theory]
    [InlineData(StorageOperations.Flush)]
    [InlineData(StorageOperations.FlushDirectory)]
    public async Task A_lying_flush_is_caught(StorageOperations operation)
    {
        var files = new SimulatedStorageProvider();
        SnapshotStore store = await SnapshotStoreTests.WithTwoAsync(files);
        files.Faults.Add(new FaultRule { Operations = operation, Effect = FaultEffect.Lie });
        await Assert.ThrowsAsync<CrashCheckException>(() => RunAsync(files, store));
    }

    // A process is killed when it has given the new file its name; the next one acts on what it reads, and then the power fails.
    [Fact]
    public async Task What_was_read_stays_though_who_wrote_it_was_killed_too_early()
    {
        var files = new SimulatedStorageProvider();
        SnapshotStore killed = await SnapshotStoreTests.WithTwoAsync(files);
        files.Faults.Add(new FaultRule { Operations = StorageOperations.FlushDirectory, Count = 1 });
        await Assert.ThrowsAsync<BlockLayerException>(() => killed.SetCurrentAsync("s1").AsTask());
        SnapshotStore next = await SnapshotStore.OpenAsync("/meta", "vm", files);
        Assert.Equal("s1", next.Tree.CurrentName);

        using var recorder = new CrashRecorder(files);
        await CrashCheck.RunAsync(recorder, static async (_, found) => Assert.Equal("s1", (await SnapshotStore.OpenAsync("/meta", "vm", found)).Tree.CurrentName));
    }

    private static async Task<(long States, int Points)> RunAsync(SimulatedStorageProvider files, SnapshotStore store)
    {
        string acknowledged = Describe(store);
        var known = new List<string> { acknowledged };
        using var recorder = new CrashRecorder(files) { Observe = () => acknowledged };
        SnapshotDeletion deletion = Deletion(store.Tree.Find("s1"));
        Func<ValueTask>[] changes =
        [
            () => store.BeginCreationAsync(new SnapshotCreation("s3", [new EmptyOverlay("/vm/d", "qcow2", 512, new("c", "qcow2"))]), CancellationToken.None),
            () => store.AddAsync(Record("s3", "s2", "c", "d")),
            () => store.BeginDeletionAsync(deletion),
            () => store.AdvanceDeletionAsync(deletion.At("vda", DeletionStage.Switching)),
            () => store.AdvanceDeletionAsync(deletion.At(DeletionStage.Switched)),
            () => store.FinishDeletionAsync("s1"),
            () => store.ForgetAsync("s2"),
        ];
        foreach (Func<ValueTask> change in changes)
        {
            await change();
            acknowledged = Describe(store);
            known.Add(acknowledged);
        }

        long states = await CrashCheck.RunAsync(recorder, async (state, found) =>
        {
            int expected = known.IndexOf((string)state.Image.Observation!);
            int actual = known.IndexOf(Describe(await SnapshotStore.OpenAsync("/meta", "vm", found)));
            Assert.True(actual == expected || actual == expected + 1, $"state {expected} was acknowledged, state {actual} is found");
        });
        return (states, recorder.Images.Count);
    }

    private static string Describe(SnapshotStore store)
        => $"{store.Tree.CurrentName}\n{string.Join('\n', store.Tree.All.Select(record => record.GetXml()))}\n{store.Creation?.ToXml()}\n{store.Deletion?.ToXml()}";
}
