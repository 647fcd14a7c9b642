using BlockLayer.Cli;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.KillHost;
using BlockLayer.Simulation;
using BlockLayer.Storage;
using Xunit;

namespace BlockLayer.Interop.Tests.Kill;

/// <summary>
/// The storage calls that <c>blk pull</c> makes on real files, recorded and crashed in every way: every subset of up to 10 unflushed writes, beyond that every
/// prefix, every single loss and 200 seeded subsets, writes torn at 512 bytes.
/// </summary>
public sealed class RecordedPullTests
{
    private const string Complete = "success was printed";

    [Theory]
    [InlineData("qcow2", false)]
    [InlineData("qcow2", true)]
    [InlineData("qed", false)]
    [InlineData("qed", true)]
    public async Task Every_crash_of_a_recorded_pull_leaves_the_disk_and_a_chain_that_holds_it(string format, bool stopsAtTemplate)
    {
        using KillChain chain = await KillChain.CreateAsync(format, reduction: 8);
        StorageLog log = await RecordAsync(chain, stopsAtTemplate);
        long states = await CheckAsync(log, chain, stopsAtTemplate, new CrashEnumeration());
        Assert.True(states > 50, $"{states} states prove little");
    }

    [Theory]
    [InlineData("qcow2")]
    [InlineData("qed")]
    public async Task A_flush_taken_out_of_a_recorded_pull_is_noticed(string format)
    {
        using KillChain chain = await KillChain.CreateAsync(format, reduction: 8);
        StorageLog log = await RecordAsync(chain, stopsAtTemplate: false);
        StorageLogEntry[] flushes = [.. log.Entries.Where(static entry => entry is { Event: StorageLogEvent.Began, Call.Kind: StorageOperations.Flush })];
        int noticed = 0;
        foreach (StorageLogEntry flush in flushes)
        {
            try
            {
                await CheckAsync(log.Without(entry => entry == flush), chain, stopsAtTemplate: false, new CrashEnumeration { TornWrites = false });
            }
            catch (CrashCheckException)
            {
                noticed++;
            }
        }

        Assert.InRange(noticed, 3, flushes.Length); // those of the data, of the tables and of the header
    }

    private static async Task<StorageLog> RecordAsync(KillChain chain, bool stopsAtTemplate)
    {
        var files = new RecordingStorageProvider(LocalStorageProvider.Instance);
        var console = new HostConsole(_ => files.Log.AddNote(Complete));
        string[] pull = ["pull", chain.Current, .. stopsAtTemplate ? ["--base", chain.Template] : Array.Empty<string>()];
        Assert.Equal(ExitCode.Success, await BlkProgram.RunAsync(pull, console, BlockEnvironment.Default with { Files = files }));
        return files.Log;
    }

    private static async Task<long> CheckAsync(StorageLog log, KillChain chain, bool stopsAtTemplate, CrashEnumeration enumeration)
    {
        using CrashRecorder recorder = log.Replay();
        string current = LocalStorageProvider.Instance.GetRealPath(chain.Current);
        string[] after = stopsAtTemplate ? ["current", "template"] : ["current"];
        return await CrashCheck.RunAsync(recorder, async (state, storage) =>
        {
            await using Disk disk = await Disk.OpenAsync(current, new DiskOptions { Environment = SimulatedEnvironment.Inline(storage) });
            string[] found = [.. disk.Chain.Select(static image => Path.GetFileName(image.Path)!)];
            Assert.True(
                found.SequenceEqual(after) || (state.Image.Observation is null && found.SequenceEqual(KillChain.Before)),
                $"the chain is {string.Join(" -> ", found)}; {state.Image.Observation ?? "nothing was printed"}");
            byte[] content = new byte[disk.Length];
            await disk.ReadAsync(0, content);
            int same = content.AsSpan().CommonPrefixLength(chain.Content);
            Assert.True(same == chain.Content.Length, $"byte {same} is not what it was");
            ImageCheckReport report = await ImageChecker.CheckAsync(disk.Root);
            Assert.True(report.Corruptions == 0, string.Join(Environment.NewLine, report.Findings));
        }, enumeration);
    }
}
