using System.Text.Json;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Qcow2;

/// <summary>Snapshots made by either program are listed, read, applied and deleted by the other, and its check finds nothing.</summary>
public sealed class SnapshotInteropTests
{
    private const int Length = 3 << 20;

    public static TheoryData<string> Geometries =>
        ["compat=1.1", "compat=0.10,cluster_size=4k", "cluster_size=512", "cluster_size=4k,refcount_bits=64", "cluster_size=16k,refcount_bits=4", "extended_l2=on", "compression_type=zstd"];

    [Theory]
    [MemberData(nameof(Geometries))]
    public async Task Ours_and_theirs_in_turn(string geometry)
    {
        QemuTool qemuImg = QemuTool.Require("qemu-img");
        using var folder = new TemporaryFolder();
        string path = folder.File("disk.qcow2");
        qemuImg.RunOk("create", "-q", "-f", "qcow2", "-o", geometry, path, $"{Length}");
        var contents = new Dictionary<string, byte[]>();
        byte[] model = new byte[Length];
        foreach (string name in new[] { "ours 1", "theirs 1", "ours 2", "theirs 2" })
        {
            model = await WriteAsync(path, model, contents.Count);
            if (name.StartsWith("ours", StringComparison.Ordinal))
            {
                await ChangeAsync(path, image => ImageSnapshots.CreateAsync(image, name).AsTask());
            }
            else
            {
                qemuImg.RunOk("snapshot", "-c", name, path);
            }

            contents.Add(name, model);
            AssertClean(qemuImg, path);
        }

        model = await WriteAsync(path, model, seed: 9);
        AssertClean(qemuImg, path);
        AssertSame(model, ReadInQemu(qemuImg, folder, path));
        foreach ((string name, byte[] content) in contents)
        {
            AssertSame(content, ReadInQemu(qemuImg, folder, path, "-l", $"snapshot.name={name}"));
            AssertSame(content, await ReadAsync(path, name));
        }

        await ChangeAsync(path, image => ImageSnapshots.ApplyAsync(image, "theirs 1").AsTask());
        AssertClean(qemuImg, path);
        AssertSame(contents["theirs 1"], ReadInQemu(qemuImg, folder, path));
        qemuImg.RunOk("snapshot", "-a", "ours 2", path);
        AssertSame(contents["ours 2"], await ReadAsync(path));
        qemuImg.RunOk("snapshot", "-d", "ours 1", path);
        await ChangeAsync(path, image => ImageSnapshots.DeleteAsync(image, "theirs 2").AsTask());
        AssertClean(qemuImg, path);
        await WriteAsync(path, contents["ours 2"], seed: 10);
        AssertClean(qemuImg, path);
        AssertSame(contents["theirs 1"], ReadInQemu(qemuImg, folder, path, "-l", "snapshot.name=theirs 1"));
        await ChangeAsync(path, image => ImageSnapshots.DeleteAsync(image, "theirs 1").AsTask());
        qemuImg.RunOk("snapshot", "-d", "ours 2", path);
        AssertClean(qemuImg, path);
        Assert.Empty(await ListAsync(path));
    }

    [Fact]
    public async Task Both_list_the_same()
    {
        QemuTool qemuImg = QemuTool.Require("qemu-img");
        using var folder = new TemporaryFolder();
        string path = folder.File("disk.qcow2");
        qemuImg.RunOk("create", "-q", "-f", "qcow2", path, $"{Length}");
        qemuImg.RunOk("snapshot", "-c", "theirs", path);
        await ChangeAsync(path, image => ImageSnapshots.CreateAsync(image, "öurs").AsTask());
        using JsonDocument info = JsonDocument.Parse(qemuImg.RunOk("info", "--output=json", path));
        IEnumerable<(string?, string?, long, long, ulong?)> theirs = info.RootElement.GetProperty("snapshots").EnumerateArray().Select(static snapshot => (
            snapshot.GetProperty("id").GetString(),
            snapshot.GetProperty("name").GetString(),
            snapshot.GetProperty("date-sec").GetInt64(),
            snapshot.GetProperty("vm-state-size").GetInt64(),
            snapshot.TryGetProperty("icount", out JsonElement count) ? count.GetUInt64() : (ulong?)null));
        IReadOnlyList<SnapshotInfo> ours = await ListAsync(path);
        Assert.Equal(theirs, ours.Select(static snapshot => ((string?)snapshot.Id, (string?)snapshot.Name, snapshot.Taken.ToUnixTimeSeconds(), (long)snapshot.VmStateSize, snapshot.InstructionCount)));
        Assert.All(ours, static snapshot => Assert.Equal(Length, snapshot.DiskSize));
    }

    private static async Task<byte[]> WriteAsync(string path, byte[] model, int seed)
    {
        var random = new Random(seed);
        model = [.. model];
        await ChangeAsync(path, async image =>
        {
            for (int i = 0; i < 25; i++)
            {
                int offset = random.Next(Length);
                int length = Math.Min(random.Next(1, i % 5 == 0 ? 200_000 : 8000), Length - offset);
                if (i % 7 == 3)
                {
                    model.AsSpan(offset, length).Clear();
                    await image.WriteZeroesAsync(offset, length, ZeroFlags.MayUnmap);
                }
                else
                {
                    Pattern.Fill(model.AsSpan(offset, length), offset, writer: (seed * 100) + i);
                    await image.WriteAsync(offset, model.AsMemory(offset, length), i % 6 == 1 && offset % (2 << 20) == 0 ? WriteFlags.Compressed : WriteFlags.None);
                }
            }
        });
        return model;
    }

    private static async Task ChangeAsync(string path, Func<BlockNode, Task> change)
    {
        await using BlockNode image = await OpenAsync(path, NodeAccess.ReadWrite);
        await change(image);
    }

    private static async Task<IReadOnlyList<SnapshotInfo>> ListAsync(string path)
    {
        await using BlockNode image = await OpenAsync(path, NodeAccess.ReadOnly);
        return await ImageSnapshots.ListAsync(image);
    }

    private static async Task<byte[]> ReadAsync(string path, string? snapshot = null)
    {
        await using BlockNode image = await OpenAsync(path, NodeAccess.ReadOnly, snapshot);
        byte[] found = new byte[image.Length];
        await image.ReadAsync(0, found);
        return found;
    }

    private static async ValueTask<BlockNode> OpenAsync(string path, NodeAccess access, string? snapshot = null)
        => await new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default)
            .OpenAsync(path, new ImageOpenOptions { Format = "qcow2", Access = access, Snapshot = snapshot });

    private static void AssertClean(QemuTool qemuImg, string path)
    {
        QemuResult result = qemuImg.Run("check", "-f", "qcow2", path);
        Assert.True(result.ExitCode == 0, $"qemu-img check: {result.Output}{result.Error}");
    }

    private static byte[] ReadInQemu(QemuTool qemuImg, TemporaryFolder folder, string path, params string[] more)
    {
        string raw = folder.File("read.raw");
        qemuImg.RunOk(["convert", "-f", "qcow2", "-O", "raw", .. more, path, raw]);
        return File.ReadAllBytes(raw);
    }

    private static void AssertSame(byte[] expected, byte[] found)
    {
        Assert.Equal(expected.Length, found.Length);
        int difference = found.AsSpan().CommonPrefixLength(expected);
        Assert.True(difference == found.Length, $"byte {difference} differs");
    }
}
