using System.Buffers.Binary;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Snapshots;

/// <summary>The state of a virtual machine that QEMU keeps with a snapshot: it lies behind the disk in the snapshot's mapping, and only the snapshot's.</summary>
public sealed class VmStateTests
{
    private const int ClusterSize = 512;
    private const int TableReach = 64 * ClusterSize;           // bytes that one L2 table maps
    private const int DiskLength = (2 * TableReach) - 1024;    // the state starts with the third table
    private const int StateLength = 10 * ClusterSize;

    private readonly TestWorld _world = new();
    private readonly byte[] _disk = Pattern.Of(0, DiskLength, writer: 1);
    private readonly byte[] _state = Pattern.Of(0, StateLength, writer: 2);

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    public async Task It_outlives_whatever_happens_to_the_disk_and_to_other_snapshots(int version)
    {
        await CreateAsync(version);
        await using (Qcow2Node node = await _world.OpenAsync("disk"))
        {
            Assert.Equal(StateLength, (int)(await node.ListSnapshotsAsync(CancellationToken.None))[0].VmStateSize);
            await node.WriteAsync(0, Pattern.Of(0, DiskLength, writer: 3));
            await node.CreateSnapshotAsync("other", CancellationToken.None);
            await node.ApplySnapshotAsync("running", CancellationToken.None);
            await node.DeleteSnapshotAsync("other", CancellationToken.None);
            await node.AmendAsync(new Dictionary<string, string> { ["compat"] = version == 2 ? "1.1" : "0.10" }, CancellationToken.None);
            byte[] found = new byte[node.Length];
            await node.ReadAsync(0, found);
            Assert.Equal(_disk, found);
            await AssertSoundAsync(node);
        }

        Assert.Equal(_state, await ReadStateAsync("running", 2 * TableReach, StateLength));
    }

    [Fact]
    public async Task A_disk_that_grows_after_the_snapshot_was_applied_shows_nothing_of_it()
    {
        await CreateAsync(version: 3);
        await using (Qcow2Node node = await _world.OpenAsync("disk"))
        {
            await node.ApplySnapshotAsync("running", CancellationToken.None);
            await node.ResizeAsync(4 * TableReach);
            byte[] grown = new byte[(4 * TableReach) - DiskLength];
            await node.ReadAsync(DiskLength, grown);
            Assert.True(grown.AsSpan().IndexOfAnyExcept((byte)0) < 0, "the state shows behind the disk");
            await node.WriteAsync(0, Pattern.Of(0, 4 * TableReach, writer: 4));
            await AssertSoundAsync(node);
        }

        Assert.Equal(_state, await ReadStateAsync("running", 2 * TableReach, StateLength));
    }

    [Fact]
    public async Task The_state_that_a_machine_saved_is_kept()
    {
        const int State = 2 << 20; // behind the disk of 1 MiB, where the next L2 table begins
        await WriteFileAsync("disk", await File.ReadAllBytesAsync(Path.Combine(GoldenImages.Folder, "q7-vm-state.qcow2"), TestContext.Current.CancellationToken));
        byte[] saved = await ReadStateAsync("one", State, length: 765);
        Assert.Equal("QEVM"u8, saved.AsSpan(0, 4)); // QEMU's migration stream
        await using (Qcow2Node node = await _world.OpenAsync("disk"))
        {
            await node.WriteAsync(0, Pattern.Of(0, 1 << 20, writer: 3));
            await node.CreateSnapshotAsync("other", CancellationToken.None);
            await node.ApplySnapshotAsync("one", CancellationToken.None);
            await node.DeleteSnapshotAsync("other", CancellationToken.None);
            await node.ResizeAsync(3 << 20);
            await node.WriteAsync(State, Pattern.Of(State, 1 << 20, writer: 4));
            await AssertSoundAsync(node);
        }

        Assert.Equal(saved, await ReadStateAsync("one", State, length: 765));
    }

    [Fact]
    public async Task It_goes_with_its_snapshot()
    {
        await CreateAsync(version: 3);
        await using Qcow2Node node = await _world.OpenAsync("disk");
        await node.DeleteSnapshotAsync("running", CancellationToken.None);
        ImageCheckReport report = await AssertSoundAsync(node);
        Assert.Equal(DiskLength / ClusterSize, report.AllocatedClusters);
    }

    /// <summary>Makes the image that QEMU leaves: written as one disk, and then declared to end before the state.</summary>
    private async Task CreateAsync(int version)
    {
        await _world.CreateAsync("disk", new Qcow2CreateOptions { Length = 3 * TableReach, ClusterSize = ClusterSize, Version = version });
        HostOffset table;
        await using (Qcow2Node node = await _world.OpenAsync("disk"))
        {
            await node.WriteAsync(0, _disk);
            await node.WriteAsync(2 * TableReach, _state);
            await node.CreateSnapshotAsync("running", CancellationToken.None);
            await node.DiscardAsync(2 * TableReach, TableReach);
            table = node.Header.SnapshotsOffset;
        }

        await PatchAsync(24, BigEndian(DiskLength));
        await PatchAsync(table.Value + 32, BigEndian(StateLength)[4..]);
        await PatchAsync(table.Value + 40, BigEndian(StateLength));
        await PatchAsync(table.Value + 48, BigEndian(DiskLength));
    }

    /// <summary>The state, through a copy of the image whose snapshot claims a disk that includes it.</summary>
    private async Task<byte[]> ReadStateAsync(string snapshot, long position, int length)
    {
        byte[] image;
        HostOffset table;
        await using (Qcow2Node node = await _world.OpenAsync("disk", NodeAccess.ReadOnly))
        {
            table = node.Header.SnapshotsOffset;
            Assert.Equal(1u, node.Header.SnapshotCount);
            image = new byte[node.File.Length];
            await node.File.ReadAsync(0, image);
        }

        BinaryPrimitives.WriteInt64BigEndian(image.AsSpan((int)table.Value + 48), position + Alignment.RoundUp(length, 512));
        await WriteFileAsync("copy", image);
        await using Qcow2Node shown = await _world.OpenSnapshotAsync("copy", snapshot);
        byte[] state = new byte[length];
        await shown.ReadAsync(position, state);
        return state;
    }

    private async Task WriteFileAsync(string name, byte[] content)
    {
        await using StorageNode file = await _world.OpenFileAsync(name, BlockLayer.Storage.StorageOpenMode.CreateOrTruncate);
        await file.ResizeAsync(content.Length);
        await file.WriteAsync(0, content);
    }

    private async Task PatchAsync(long position, byte[] bytes)
    {
        await using StorageNode file = await _world.OpenFileAsync("disk");
        await file.WriteAsync(position, bytes);
    }

    private static byte[] BigEndian(long value)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteInt64BigEndian(bytes, value);
        return bytes;
    }

    private static async Task<ImageCheckReport> AssertSoundAsync(Qcow2Node node)
    {
        ImageCheckReport report = await node.CheckAsync(progress: null, CancellationToken.None);
        Assert.True(report is { Corruptions: 0, Leaks: 0 }, string.Join('\n', report.Findings));
        return report;
    }
}
