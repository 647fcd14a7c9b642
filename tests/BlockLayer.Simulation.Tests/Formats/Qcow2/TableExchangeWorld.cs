using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Simulation.Tests.Crashes;
using BlockLayer.Storage;
using Xunit;

namespace BlockLayer.Simulation.Tests.Formats.Qcow2;

/// <summary>
/// An image on storage with a volatile cache, one change of its tables recorded, and every state a crash in it could leave: what a guest, and a reader of the snapshots,
/// sees is what they saw before or what they see after, and the tables agree with each other.
/// </summary>
internal sealed class TableExchangeWorld(Qcow2CreateOptions options)
{
    private static readonly CrashEnumeration s_enumeration = new() { ExhaustiveLimit = 8, RandomSubsets = 24, RandomTornStates = 8 };

    private readonly SimulatedStorageProvider _storage = new();

    /// <summary>How many bytes of the disk have to be as before or as after, for changes that let the rest go; all by default.</summary>
    internal int Looks { get; init; } = int.MaxValue;

    /// <summary>Creates the image and prepares it.</summary>
    internal async Task PrepareAsync(Func<Qcow2Node, Task> prepare)
    {
        var how = new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateOrTruncate };
        await using (var file = new StorageNode(await _storage.OpenAsync("disk", how, CancellationToken.None), EnvironmentOf(_storage)))
        {
            await Qcow2Format.Instance.CreateAsync(file, options, CancellationToken.None);
            await _storage.FlushDirectoryAsync("", CancellationToken.None);
        }

        await using Qcow2Node node = await OpenAsync(_storage, NodeAccess.ReadWrite);
        await prepare(node);
        await node.FlushAsync();
    }

    /// <summary>Records a change, tries every crash, and prints the row. Returns how many clusters the worst state had lost.</summary>
    internal async Task<long> ChangeAsync(string what, Func<Qcow2Node, Task> change)
    {
        string before = await DescribeAsync(_storage);
        bool isDone = false;
        using var recorder = new CrashRecorder(_storage) { Observe = () => isDone };
        await using (Qcow2Node node = await OpenAsync(_storage, NodeAccess.ReadWrite))
        {
            await change(node);
            isDone = true;
        }

        string after = await DescribeAsync(_storage);
        Assert.NotEqual(before, after);
        (long old, long changed, long leaks) = (0, 0, 0);
        long states = await CrashCheck.RunAsync(
            recorder,
            async (state, crashed) =>
            {
                string found = await DescribeAsync(crashed);
                Assert.True(found == after || (found == before && !(bool)state.Image.Observation!), $"found {found}, which is neither {before} nor {after}, or was promised to be over");
                (old, changed) = found == after ? (old, changed + 1) : (old + 1, changed);
                leaks = Math.Max(leaks, await CheckAsync(crashed));
                await WriteOnAsync(crashed, found);
            },
            s_enumeration);
        Assert.True(old > 0 && changed > 0, "no crash was before the change, or none behind it");
        CrashTable.Print(what, recorder, states, $"{old} as before, {changed} as after, no errors, at most {leaks} clusters lost");
        return leaks;
    }

    /// <summary>
    /// Makes a change that meets a fault, and then writes the whole disk through the same node: nothing of that may reach a snapshot, and the tables agree afterwards. False when
    /// the change did not meet it.
    /// </summary>
    internal async Task<bool> FailAsync(FaultRule rule, Func<Qcow2Node, Task> change)
    {
        string before = await DescribeAsync(_storage);
        bool failed = false;
        byte[] content;
        await using (Qcow2Node node = await OpenAsync(_storage, NodeAccess.ReadWrite))
        {
            await node.WriteAsync(0, new byte[1]); // what every first write does is not part of the change
            await node.FlushAsync();
            _storage.Faults.Add(rule);
            try
            {
                await change(node);
            }
            catch (BlockLayerException error) when (error.Message.StartsWith("Injected fault", StringComparison.Ordinal))
            {
                failed = true;
            }

            _storage.Faults.Clear();
            content = GuestStamp.Create(0, (int)node.Length & ~511, writer: 1 << 20);
            await node.WriteAsync(0, content);
            await node.FlushAsync();
        }

        string found = await DescribeAsync(_storage);
        Assert.True(!failed || Snapshots(found) == Snapshots(before), $"snapshots were {before} and are {found}");
        await using Qcow2Node reopened = await OpenAsync(_storage, NodeAccess.ReadOnly);
        Assert.True((await OracleGuest.ReadAllAsync(reopened)).AsSpan().SequenceEqual(content), "what was written after the failure is not there");
        await CheckAsync(_storage);
        return failed;
    }

    private static BlockEnvironment EnvironmentOf(SimulatedStorageProvider files)
        => new() { Files = files, Work = InlineWorkScheduler.Instance, Time = new SimulationScheduler(seed: 0).Time };

    private static async ValueTask<Qcow2Node> OpenAsync(SimulatedStorageProvider files, NodeAccess access, string? snapshot = null)
    {
        BlockStorage storage = await files.OpenAsync("disk", new StorageOpenOptions { Writable = access == NodeAccess.ReadWrite }, CancellationToken.None);
        var context = new FormatOpenContext { NodeName = "disk", Access = access, Snapshot = snapshot };
        return (Qcow2Node)await Qcow2Format.Instance.OpenAsync(new StorageNode(storage, EnvironmentOf(files)), context, CancellationToken.None);
    }

    /// <summary>Everything that a reader can see, as text: the header's properties, the disk and each snapshot by length and hash.</summary>
    private async Task<string> DescribeAsync(SimulatedStorageProvider files)
    {
        await using Qcow2Node node = await OpenAsync(files, NodeAccess.ReadOnly);
        string text = $"version {node.Header.Version}, {1 << node.Header.RefcountOrder} bits, {node.Header.Compatible}, over {node.BackingReference}, disk {await HashAsync(node)}";
        foreach (SnapshotInfo snapshot in await node.ListSnapshotsAsync(CancellationToken.None))
        {
            await using Qcow2Node shown = await OpenAsync(files, NodeAccess.ReadOnly, snapshot.Id);
            text += $", {snapshot.Id} '{snapshot.Name}' {await HashAsync(shown)}";
        }

        return text;
    }

    private async Task<string> HashAsync(BlockNode node)
    {
        byte[] content = await OracleGuest.ReadAllAsync(node);
        byte[] hash = System.Security.Cryptography.SHA256.HashData(content.AsSpan(0, Math.Min(Looks, content.Length)));
        return $"{content.Length}:{Convert.ToHexString(hash.AsSpan(0, 6))}";
    }

    private static async Task<long> CheckAsync(SimulatedStorageProvider files)
    {
        await using Qcow2Node node = await OpenAsync(files, NodeAccess.ReadOnly);
        ImageCheckReport report = await node.CheckAsync(progress: null, CancellationToken.None);
        Assert.True(report is { Corruptions: 0, CheckErrors: 0 }, string.Join('\n', report.Findings));
        return report.Leaks;
    }

    // Were a cluster of a snapshot free by its refcount, or writable by a flag, it would be overwritten here.
    private async Task WriteOnAsync(SimulatedStorageProvider files, string described)
    {
        await using (Qcow2Node node = await OpenAsync(files, NodeAccess.ReadWrite))
        {
            await node.WriteAsync(0, GuestStamp.Create(0, (int)node.Length & ~511, writer: 1 << 20));
        }

        string found = await DescribeAsync(files);
        Assert.Equal(Snapshots(described), Snapshots(found));
        await CheckAsync(files);
    }

    private static string Snapshots(string text) => text.Split(", disk ")[1].Split(", ", 2) is [_, var snapshots] ? snapshots : "";
}
