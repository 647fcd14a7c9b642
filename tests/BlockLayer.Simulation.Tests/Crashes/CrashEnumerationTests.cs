using BlockLayer.Storage;
using Xunit;

namespace BlockLayer.Simulation.Tests.Crashes;

/// <summary>Exactly which states a crash can leave, for programs small enough to count them by hand.</summary>
public class CrashEnumerationTests
{
    private static readonly StorageOpenOptions s_write = new() { Writable = true };
    private static readonly StorageOpenOptions s_create = new() { Writable = true, Mode = StorageOpenMode.CreateNew };
    private static readonly CancellationToken s_none = CancellationToken.None;

    private readonly SimulatedStorageProvider _storage = new();

    public CrashEnumerationTests()
    {
        _storage.AddFile("/a", new byte[64 * 512]);
        _storage.AddFile("/b", new byte[64 * 512]);
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 2)]
    [InlineData(3, 8)]
    [InlineData(10, 1024)]
    [InlineData(11, 222)]  // 12 prefixes, 11 single losses of which one is a prefix, 200 random subsets
    [InlineData(40, 280)]
    public async Task Whole_writes_are_lost_or_survive_in_all_ways_up_to_ten(int writes, int states)
    {
        await using BlockStorage a = await _storage.OpenAsync("/a", s_write, s_none);
        for (int i = 0; i < writes; i++)
        {
            await a.WriteAsync(i * 512, Sector(1), s_none);
        }

        CrashState[] found = Enumerate();
        Assert.Equal(states, found.Length);
        Assert.Equal(states, found.Select(state => Convert.ToHexString(state.Open().ReadFile("/a"))).Distinct().Count());
    }

    [Theory]
    [InlineData(1, 2)]
    [InlineData(2, 4)]   // none, all, and each half
    [InlineData(4, 16)]  // every set of four sectors
    [InlineData(5, 12)]  // none, all, three beginnings, three ends, four random sets
    public async Task A_write_is_torn_between_its_sectors(int sectors, int states)
    {
        await using BlockStorage a = await _storage.OpenAsync("/a", s_write, s_none);
        await a.WriteAsync(0, Fill(sectors * 512, 1), s_none);
        Assert.Equal(states, Enumerate().Length);
    }

    [Fact]
    public async Task A_torn_write_tears_at_the_sectors_of_the_file_and_inside_none()
    {
        await using BlockStorage a = await _storage.OpenAsync("/a", s_write, s_none);
        await a.WriteAsync(500, Fill(24, 1), s_none); // 12 bytes in each of two sectors
        int[] survived = [.. Enumerate().Select(state => state.Open().ReadFile("/a").Count(value => value == 1)).Order()];
        Assert.Equal([0, 12, 12, 24], survived);
    }

    [Fact]
    public async Task A_file_may_grow_without_the_bytes_that_made_it_grow()
    {
        await using BlockStorage a = await _storage.OpenAsync("/a", s_write, s_none);
        await a.WriteAsync(64 * 512, Sector(1), s_none);
        var found = Enumerate().Select(state => state.Open().ReadFile("/a")).Select(bytes => (bytes.Length / 512, bytes[^1])).ToHashSet();
        Assert.Equal(new HashSet<(int, byte)> { (64, 0), (65, 0), (65, 1) }, found);
    }

    [Fact]
    public async Task A_flush_covers_what_had_completed_when_it_began_of_its_own_file()
    {
        await using BlockStorage a = await _storage.OpenAsync("/a", s_write, s_none);
        await using BlockStorage b = await _storage.OpenAsync("/b", s_write, s_none);
        await a.WriteAsync(0, Sector(1), s_none);
        await b.WriteAsync(0, Sector(1), s_none);
        await a.FlushAsync(s_none);
        await a.WriteAsync(512, Sector(1), s_none);
        (byte, byte, byte)[] found = [.. Enumerate()
            .Select(state => state.Open())
            .Select(storage => (storage.ReadFile("/a")[0], storage.ReadFile("/a")[512], storage.ReadFile("/b")[0]))
            .Order()];
        Assert.Equal([((byte)1, (byte)0, (byte)0), ((byte)1, (byte)0, (byte)1), ((byte)1, (byte)1, (byte)0), ((byte)1, (byte)1, (byte)1)], found);
    }

    [Fact]
    public void A_write_that_a_flush_overtook_may_still_be_lost()
    {
        // The write is in flight while the flush begins and completes before it ends.
        var scheduler = new SimulationScheduler(new SimulationOptions { Order = SimulationOrder.FirstInFirstOut });
        var storage = new SimulatedStorageProvider(scheduler);
        storage.AddFile("/a", new byte[512]);
        scheduler.Run(async () =>
        {
            await using BlockStorage a = await storage.OpenAsync("/a", s_write, s_none);
            ValueTask write = a.WriteAsync(0, Sector(1), s_none);
            ValueTask flush = a.FlushAsync(s_none);
            await write;
            await flush;
        });
        using var recorder = new CrashRecorder(storage);
        Assert.Equal(2, recorder.Capture("now").EnumerateStates().Count());
    }

    [Fact]
    public void A_write_in_flight_may_have_reached_the_disk()
    {
        var scheduler = new SimulationScheduler(1);
        var storage = new SimulatedStorageProvider(scheduler);
        storage.AddFile("/a", new byte[512]);
        storage.Faults.Add(new FaultRule { Operations = StorageOperations.Write, Effect = FaultEffect.Hang });
        using var recorder = new CrashRecorder(storage);
        Task? write = null;
        scheduler.Run(async () =>
        {
            BlockStorage a = await storage.OpenAsync("/a", s_write, s_none);
            write = a.WriteAsync(0, Sector(1), s_none).AsTask();
        });
        Assert.False(write!.IsCompleted);
        CrashImage image = recorder.Capture("in flight");
        Assert.Equal(["Write /a [0x0, 0x200) (in flight)"], image.Operations);
        Assert.Equal([0, 1], image.EnumerateStates().Select(state => (int)state.Open().ReadFile("/a")[0]).Order());
        Assert.Equal(0, storage.ReadFile("/a")[0]);
    }

    [Fact]
    public async Task Truncation_zeroes_and_discards_are_volatile_too()
    {
        await using BlockStorage a = await _storage.OpenAsync("/a", s_write, s_none);
        await a.WriteAsync(0, Fill(8192, 1), s_none);
        await a.FlushAsync(s_none);
        await a.SetLengthAsync(8192, s_none);
        await a.WriteZeroesAsync(0, 512, ZeroMode.MayUnmap, s_none);
        await a.DiscardAsync(4096, 512, s_none);
        var found = Enumerate().Select(state => state.Open().ReadFile("/a")).Select(bytes => (bytes.Length, bytes[0], bytes[4096])).ToHashSet();
        Assert.Equal(8, found.Count);
        Assert.Contains((8192, (byte)0, (byte)1), found);
        Assert.Contains((64 * 512, (byte)1, (byte)0), found);
    }

    [Fact]
    public async Task A_new_name_is_lost_until_its_directory_is_flushed()
    {
        await using BlockStorage file = await _storage.OpenAsync("/dir/new", s_create, s_none);
        await file.WriteAsync(0, Sector(1), s_none);
        await file.FlushAsync(s_none);
        Assert.Equal([2, 3], Enumerate().Select(state => state.Open().Paths.Count).Order());
        await _storage.FlushDirectoryAsync("/other/file", s_none);
        Assert.Equal(2, Enumerate().Length);
        await _storage.FlushDirectoryAsync("/dir/new", s_none);
        CrashState only = Assert.Single(Enumerate());
        Assert.Equal(Sector(1), only.Open().ReadFile("/dir/new"));
    }

    [Fact]
    public async Task A_deletion_may_be_undone()
    {
        await _storage.DeleteAsync("/a", s_none);
        Assert.Equal(["/a,/b", "/b"], Enumerate().Select(state => string.Join(',', state.Open().Paths)).Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Replacing_a_file_by_rename_shows_an_empty_file_only_if_its_bytes_were_not_flushed_first(bool flushFirst)
    {
        await using (BlockStorage file = await _storage.OpenAsync("/a.new", s_create, s_none))
        {
            await file.WriteAsync(0, Sector(9), s_none);
            if (flushFirst)
            {
                await file.FlushAsync(s_none);
            }
        }

        await _storage.RenameAsync("/a.new", "/a", s_none);
        CrashState[] states = Enumerate();
        Assert.All(states, state => Assert.Contains("/a", state.Open().Paths));
        Assert.Equal(!flushFirst, states.Any(state => state.Open().ReadFile("/a").Length == 0));
        Assert.Contains(states, state => state.Open().ReadFile("/a").Length == 64 * 512);
        Assert.Contains(states, state => state.Open().ReadFile("/a").AsSpan().SequenceEqual(Sector(9)));
    }

    [Fact]
    public async Task A_rename_between_directories_needs_both_flushed()
    {
        await _storage.RenameAsync("/a", "/dir/a", s_none);
        await _storage.FlushDirectoryAsync("/dir/a", s_none);
        Assert.Equal(2, Enumerate().Length);
        await _storage.FlushDirectoryAsync("/a", s_none);
        Assert.Single(Enumerate());
    }

    [Fact]
    public async Task States_are_independent_of_each_other_and_of_the_run()
    {
        await using BlockStorage a = await _storage.OpenAsync("/a", s_write, s_none);
        await a.WriteAsync(0, Sector(1), s_none);
        CrashImage image = Capture();
        SimulatedStorageProvider survived = image.EverythingSurvived.Open();
        await using (BlockStorage reopened = await survived.OpenAsync("/a", s_write, s_none))
        {
            await reopened.WriteAsync(0, Sector(2), s_none);
        }

        await a.WriteAsync(0, Sector(3), s_none);
        await a.FlushAsync(s_none);
        Assert.Equal(0, image.NothingSurvived.Open().ReadFile("/a")[0]);
        Assert.Equal(1, image.EverythingSurvived.Open().ReadFile("/a")[0]);
        Assert.Equal(2, survived.ReadFile("/a")[0]);
        Assert.Equal(3, _storage.ReadFile("/a")[0]);
        Assert.Equal(_storage.GetInfo("/a")!.Identity.Inode, survived.GetInfo("/a")!.Identity.Inode);
    }

    [Fact]
    public async Task Every_state_has_a_line_that_finds_it_again()
    {
        await using BlockStorage a = await _storage.OpenAsync("/a", s_write, s_none);
        for (int i = 0; i < 4; i++)
        {
            await a.WriteAsync(i * 4096, Fill(((i * 3) + 1) * 512, (byte)(i + 1)), s_none);
        }

        CrashImage image = Capture();
        foreach (CrashState state in image.EnumerateStates())
        {
            CrashState again = image.FindState(state.ToString());
            Assert.Equal(state.ToString(), again.ToString());
            Assert.Equal(state.Open().ReadFile("/a"), again.Open().ReadFile("/a"));
        }

        Assert.Equal("crash 0 lost=0-3", image.NothingSurvived.ToString());
        Assert.Equal("crash 0", image.EverythingSurvived.ToString());
        byte[] torn = image.FindState("crash 0 lost=0,2-3 torn=1:first2").Open().ReadFile("/a");
        Assert.Equal([2, 2, 0, 0], torn.Skip(4096).Chunk(512).Take(4).Select(sector => (int)sector[0]));
        Assert.Throws<FormatException>(() => image.FindState("crash 0 lost=4"));
        Assert.Throws<FormatException>(() => image.FindState("crash 0 torn=1:half"));
    }

    private static byte[] Sector(byte value) => Fill(512, value);

    private static byte[] Fill(int length, byte value)
    {
        byte[] bytes = new byte[length];
        Array.Fill(bytes, value);
        return bytes;
    }

    private CrashImage Capture()
    {
        using var recorder = new CrashRecorder(_storage);
        return recorder.Capture("now");
    }

    private CrashState[] Enumerate() => [.. Capture().EnumerateStates()];
}
