using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using Xunit;

namespace BlockLayer.Simulation.Tests.Formats.Qcow2;

/// <summary>Crashes while an image is amended or shrinks: each property is as before or as asked for, and what guests read is the same throughout.</summary>
public sealed class AmendCrashTests
{
    private const int ClusterSize = 512;
    private const int Length = 80 * ClusterSize;

    [Theory]
    [InlineData(2, "compat", "1.1")]
    [InlineData(3, "compat", "0.10")]
    [InlineData(3, "refcount_bits", "64")]
    [InlineData(3, "refcount_bits", "4")]
    [InlineData(3, "lazy_refcounts", "on")]
    public async Task A_crash_while_an_image_is_amended_leaves_it_as_it_was_or_as_asked_for(int version, string option, string value)
    {
        var world = new TableExchangeWorld(new Qcow2CreateOptions { Length = Length, ClusterSize = ClusterSize, Version = version });
        await world.PrepareAsync(PrepareAsync);
        Assert.Equal(0, await world.ChangeAsync(
            $"qcow2, version {version}: amend {option}={value}",
            node => node.AmendAsync(new Dictionary<string, string> { [option] = value }, CancellationToken.None).AsTask()));
    }

    [Fact]
    public async Task A_crash_while_a_version_changes_leaves_the_name_of_the_backing_file_whole()
    {
        var backing = new BackingReference(new string('b', 700), "qcow2");
        var world = new TableExchangeWorld(new Qcow2CreateOptions { Length = Length, ClusterSize = 4096, Version = 2, Backing = backing });
        await world.PrepareAsync(static _ => Task.CompletedTask);
        await world.ChangeAsync("qcow2, long backing file name: amend compat=1.1", AmendAsync("1.1"));
        await world.ChangeAsync("qcow2, long backing file name: amend compat=0.10", AmendAsync("0.10"));

        static Func<Qcow2Node, Task> AmendAsync(string version)
            => node => node.AmendAsync(new Dictionary<string, string> { ["compat"] = version }, CancellationToken.None).AsTask();
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    public async Task A_crash_while_a_disk_shrinks_keeps_what_it_keeps(int version)
    {
        const int Kept = (7 * ClusterSize) + 100;
        var world = new TableExchangeWorld(new Qcow2CreateOptions { Length = Length, ClusterSize = ClusterSize, Version = version }) { Looks = Kept };
        await world.PrepareAsync(node => version == 2 ? node.WriteAsync(0, GuestStamp.Create(0, Length, writer: 1)).AsTask() : PrepareAsync(node));
        await world.ChangeAsync($"qcow2, version {version}: shrink", static node => node.ResizeAsync(Kept, new ResizeOptions { AllowShrink = true }).AsTask());
    }

    private static async Task PrepareAsync(Qcow2Node node)
    {
        await node.WriteAsync(0, GuestStamp.Create(0, Length, writer: 1));
        await node.WriteAsync(Length / 2, new byte[ClusterSize], WriteFlags.Compressed);
        await node.CreateSnapshotAsync("first", CancellationToken.None);
        await node.WriteAsync(0, GuestStamp.Create(0, 8 * ClusterSize, writer: 2));
        await node.WriteZeroesAsync(ClusterSize, 2 * ClusterSize);
        await node.WriteZeroesAsync(20 * ClusterSize, 2 * ClusterSize, ZeroFlags.MayUnmap);
        await node.CreateSnapshotAsync("second", CancellationToken.None);
        await node.WriteZeroesAsync(0, 4 * ClusterSize);
        await node.WriteZeroesAsync(30 * ClusterSize, 2 * ClusterSize, ZeroFlags.MayUnmap);
    }
}
