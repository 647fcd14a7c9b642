using System.Text.Json;
using BlockLayer.Cli;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Cli;

public sealed class SnapshotCommandTests : IDisposable
{
    private readonly BlkRun _blk = new();

    public void Dispose() => _blk.Dispose();

    [Fact]
    public async Task Snapshots_are_created_listed_applied_and_deleted()
    {
        await _blk.SucceedAsync("create", "-q", "-f", "qcow2", "@a.qcow2", "1M");
        Assert.Equal("", await _blk.SucceedAsync("snapshot", "list", "@a.qcow2"));
        Assert.Equal("Created snapshot 'one' with id 1.\n", await _blk.SucceedAsync("snapshot", "create", "@a.qcow2", "one"));
        Assert.Equal("Created snapshot 'two' with id 2.\n", await _blk.SucceedAsync("snapshot", "create", "@a.qcow2", "two"));
        string list = await _blk.SucceedAsync("snapshot", "list", "@a.qcow2");
        Assert.StartsWith("Snapshot list:\nID        TAG               VM SIZE                DATE     VM CLOCK     ICOUNT\n1         one                   0 B ", list, StringComparison.Ordinal);
        Assert.Equal("The disk is what it was in snapshot 'one'.\n", await _blk.SucceedAsync("snapshot", "apply", "@a.qcow2", "one"));
        Assert.Equal("Deleted snapshot '1'.\n", await _blk.SucceedAsync("snapshot", "delete", "@a.qcow2", "1"));
        Assert.DoesNotContain("one", await _blk.SucceedAsync("snapshot", "list", "@a.qcow2"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Json_has_the_names_of_qemu_img()
    {
        await _blk.SucceedAsync("create", "-q", "-f", "qcow2", "@a.qcow2", "1M");
        await _blk.SucceedAsync("snapshot", "create", "-q", "@a.qcow2", "one");
        using JsonDocument info = JsonDocument.Parse(await _blk.SucceedAsync("info", "--output", "json", "@a.qcow2"));
        using JsonDocument list = JsonDocument.Parse(await _blk.SucceedAsync("snapshot", "list", "--output", "json", "@a.qcow2"));
        JsonElement snapshot = Assert.Single(info.RootElement.GetProperty("snapshots").EnumerateArray());
        Assert.Equal(snapshot.GetRawText(), Assert.Single(list.RootElement.EnumerateArray()).GetRawText().Replace("\n", "\n    ", StringComparison.Ordinal));
        Assert.Equal(
            ["vm-clock-nsec", "name", "date-sec", "date-nsec", "vm-clock-sec", "id", "vm-state-size"],
            snapshot.EnumerateObject().Select(static property => property.Name));
        Assert.Contains("Snapshot list:\n", await _blk.SucceedAsync("info", "@a.qcow2"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_snapshot_is_converted_and_mapped()
    {
        byte[] before = Pattern.Of(0, 1 << 20, writer: 1);
        await File.WriteAllBytesAsync(_blk.Folder.File("a.raw"), before);
        await _blk.SucceedAsync("convert", "-q", "-f", "raw", "-O", "qcow2", "@a.raw", "@a.qcow2");
        await _blk.SucceedAsync("snapshot", "create", "-q", "@a.qcow2", "one");
        string map = await _blk.SucceedAsync("map", "--output", "json", "@a.qcow2");
        await File.WriteAllBytesAsync(_blk.Folder.File("b.raw"), new byte[1 << 20]);
        await _blk.SucceedAsync("convert", "-q", "-n", "-f", "raw", "-O", "qcow2", "@b.raw", "@a.qcow2");

        await _blk.SucceedAsync("convert", "-q", "-l", "one", "@a.qcow2", "@found.raw");
        Assert.Equal(before, await File.ReadAllBytesAsync(_blk.Folder.File("found.raw")));
        Assert.Equal(map, await _blk.SucceedAsync("map", "--snapshot", "1", "--output", "json", "@a.qcow2"));
        Assert.NotEqual(map, await _blk.SucceedAsync("map", "--output", "json", "@a.qcow2"));
    }

    [Fact]
    public async Task What_cannot_be_done_is_told_in_one_line()
    {
        await _blk.SucceedAsync("create", "-q", "-f", "qcow2", "@a.qcow2", "1M");
        await _blk.SucceedAsync("create", "-q", "-f", "raw", "@a.raw", "1M");
        await _blk.SucceedAsync("snapshot", "create", "-q", "@a.qcow2", "one");
        await FailsAsync("blk: @a.qcow2: There is no snapshot with id or name 'two'; it has 1 'one'.\n", "snapshot", "apply", "@a.qcow2", "two");
        await FailsAsync("blk: @a.qcow2: There is no snapshot with id or name 'two'; it has 1 'one'.\n", "map", "--snapshot", "two", "@a.qcow2");
        await FailsAsync("blk: @a.raw: Format raw has no internal snapshots.\n", "snapshot", "create", "-f", "raw", "@a.raw", "one");
        await FailsAsync(
            "blk: @a.raw: Format raw has no internal snapshots, so there is no 'one' to show.\n", "map", "-f", "raw", "--snapshot", "one", "@a.raw");
        await FailsAsync("blk snapshot: there is no 'rename'; it has list, create, apply and delete. See blk help snapshot.\n", "snapshot", "rename", "@a.qcow2", "one");
        await FailsAsync("blk snapshot: create needs the NAME of a snapshot. See blk help snapshot.\n", "snapshot", "create", "@a.qcow2");
        await FailsAsync("blk snapshot: list takes no NAME; it lists all. See blk help snapshot.\n", "snapshot", "list", "@a.qcow2", "one");
    }

    private async Task FailsAsync(string error, params string[] arguments)
        => Assert.Equal(new BlkRun.Outcome(ExitCode.Failure, "", error), await _blk.RunAsync(arguments));
}
