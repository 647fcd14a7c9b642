using BlockLayer.Simulation.Tests.Crashes;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Contracts;
using Xunit;

namespace BlockLayer.Simulation.Tests.Recording;

public class RecordingStorageTests
{
    private static readonly CancellationToken s_none = CancellationToken.None;

    [Fact]
    public async Task A_recorded_run_leaves_the_states_that_the_same_simulated_run_leaves()
    {
        var simulated = new SimulatedStorageProvider();
        simulated.AddFile("/old", [1, 2, 3]);
        using var recorder = new CrashRecorder(simulated);
        await ActAsync(simulated);
        recorder.Capture("end");

        var memory = new MemoryStorageProvider();
        await using (BlockStorage old = await memory.OpenAsync("/old", new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew }, s_none))
        {
            await old.WriteAsync(0, new byte[] { 1, 2, 3 }, s_none);
        }

        var recording = new RecordingStorageProvider(memory);
        await ActAsync(recording);
        using CrashRecorder replayed = recording.Log.Replay();
        replayed.Capture("end");

        Assert.Equal(recorder.Images.SelectMany(States), replayed.Images.SelectMany(States));
        Assert.True(recorder.Images.Count > 3);

        static IEnumerable<string> States(CrashImage image) => image.EnumerateStates()
            .Select(state => (State: state, Storage: state.Open()))
            .Select(pair => pair.State + " " + string.Join(' ', pair.Storage.Paths.Select(path => path + "=" + Convert.ToHexString(pair.Storage.ReadFile(path)))));
    }

    [Fact]
    public async Task A_correct_journal_on_real_files_passes_and_fails_without_any_one_of_its_flushes()
    {
        using var folder = new TemporaryFolder();
        var recording = new RecordingStorageProvider(new FolderProvider(folder.Path));
        var journal = new ToyJournal(recording, ToyJournal.Step.None);
        await journal.CreateAsync();
        long created = recording.Log.Entries.Count;
        recording.Log.AddNote(0L);
        recording.Log.AddNote(await journal.TransferAsync(20));
        recording.Log.AddNote(await journal.TransferAsync(70));

        Assert.True(await CheckAsync(recording.Log) > 10);
        long[] flushes = [.. recording.Log.Entries
            .Where(entry => entry is { Event: StorageLogEvent.Began, Call.Kind: StorageOperations.Flush } && entry.Number > created)
            .Select(entry => entry.Number)];
        Assert.Equal(4, flushes.Length);
        foreach (long flush in flushes)
        {
            await Assert.ThrowsAsync<CrashCheckException>(() => CheckAsync(recording.Log.Without(entry => entry.Number == flush)));
        }
    }

    [Fact]
    public async Task What_a_failed_call_did_stays_uncertain()
    {
        var simulated = new SimulatedStorageProvider();
        simulated.AddFile("/disk", new byte[512]);
        simulated.Faults.Add(new FaultRule { Operations = StorageOperations.Flush, Count = 1 });
        var recording = new RecordingStorageProvider(simulated);
        await using (BlockStorage disk = await recording.OpenAsync("/disk", new StorageOpenOptions { Writable = true }, s_none))
        {
            await disk.WriteAsync(0, new byte[] { 1 }, s_none);
            await Assert.ThrowsAsync<Errors.BlockLayerException>(() => disk.FlushAsync(s_none).AsTask());
            await disk.FlushAsync(s_none);
        }

        using CrashRecorder replayed = recording.Log.Replay();
        Assert.Equal([0, 1], replayed.Capture("end").EnumerateStates().Select(state => (int)state.Open().ReadFile("/disk")[0]).Order());
    }

    private static async Task<long> CheckAsync(StorageLog log)
    {
        using CrashRecorder replayed = log.Replay();
        return await CrashCheck.RunAsync(replayed, async (state, storage) =>
        {
            if (state.Image.Observation is long acknowledged)
            {
                Assert.True(await ToyJournal.RecoverAsync(storage) >= acknowledged);
            }
        });
    }

    private static async Task ActAsync(StorageProvider storage)
    {
        await using (BlockStorage file = await storage.OpenAsync("/new", new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew }, s_none))
        {
            await file.WriteAsync(0, Pattern.Of(0, 1500, 1), s_none);
            await file.WriteAsync(5000, new ReadOnlyMemory<byte>[] { new byte[] { 1 }, new byte[] { 2, 3 } }, s_none);
            await file.FlushAsync(s_none);
            await file.WriteZeroesAsync(512, 512, ZeroMode.MayUnmap, s_none);
            await file.SetLengthAsync(700, s_none);
            await file.DiscardAsync(0, 100, s_none);
        }

        await storage.FlushDirectoryAsync("/new", s_none);
        await storage.RenameAsync("/new", "/old", s_none);
        await using (BlockStorage file = await storage.OpenAsync("/old", new StorageOpenOptions { Writable = true }, s_none))
        {
            await file.WriteAsync(0, new byte[] { 9 }, s_none);
            await file.FlushAsync(s_none);
        }

        await storage.DeleteAsync("/old", s_none);
    }

    /// <summary>Real files under a folder, by paths that start at it.</summary>
    private sealed class FolderProvider(string folder) : StorageProvider
    {
        private readonly LocalStorageProvider _local = LocalStorageProvider.Instance;

        public override ValueTask<BlockStorage> OpenAsync(string path, StorageOpenOptions options, CancellationToken cancellationToken)
            => _local.OpenAsync(Local(path), options, cancellationToken);

        public override StorageFileInfo? GetInfo(string path) => _local.GetInfo(Local(path));

        public override IReadOnlyList<string> ListFiles(string directory) => _local.ListFiles(folder);

        public override string GetRealPath(string path) => path;

        public override ValueTask RenameAsync(string path, string newPath, CancellationToken cancellationToken)
            => _local.RenameAsync(Local(path), Local(newPath), cancellationToken);

        public override ValueTask DeleteAsync(string path, CancellationToken cancellationToken) => _local.DeleteAsync(Local(path), cancellationToken);

        public override ValueTask FlushDirectoryAsync(string path, CancellationToken cancellationToken)
            => _local.FlushDirectoryAsync(Local(path), cancellationToken);

        private string Local(string path) => Path.Combine(folder, Path.GetFileName(path));
    }
}

public sealed class RecordedFileContract : StorageContract
{
    protected override StorageProvider Provider { get; } = new RecordingStorageProvider(new MemoryStorageProvider());

    protected override string PathOf(string name) => "/images/" + name;
}

public sealed class RecordedProviderContract : StorageProviderContract
{
    protected override StorageProvider Provider { get; } = new RecordingStorageProvider(new MemoryStorageProvider());

    protected override string PathOf(string name) => "/images/" + name;
}
