using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Interop.Tests.Pull;
using BlockLayer.Jobs;
using BlockLayer.Libvirt;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Libvirt;

/// <summary>
/// Each way in which the generations before BlockPull stream, and the driver and the live move that were proposed beside them, on a chain that qemu-img made, with a guest that writes meanwhile:
/// afterwards qemu-img follows the chain that is to be left, finds nothing wrong, and reads what it read before, with what the guest wrote.
/// </summary>
public sealed class EarlyStreamInteropTests : IDisposable
{
    private const int MiB = 1 << 20;
    private const int GuestLength = 40 * 1024; // within a unit, but not on its clusters

    private static readonly QemuImage[] s_images =
        [new("template.raw", "raw", 2 * MiB), new("first.qcow2", "qcow2", 2 * MiB, "cluster_size=4k"), new("current.qcow2", "qcow2", 3 * MiB, "cluster_size=16k")];

    private readonly TemporaryFolder _folder = new();
    private readonly QemuTool _qemuIo = QemuTool.Require("qemu-io");

    public static TheoryData<string> Ways => ["START", "ONE", "CONTINUOUS", "increments", "background copy", "background copy to the template"];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_device_that_streams_leaves_what_qemu_reads(bool isToTemplate)
    {
        var chain = new QemuChain(_folder, s_images);
        await using (BlkStreamApi device = await BlkStreamApi.OpenAsync($"blkstream:{chain.Current}", isToTemplate ? chain.Template : null, new DiskOptions { Format = "qcow2" }))
        {
            Task stream = device.StreamAsync().AsTask();
            await WriteAsync(device.Disk, 10);
            await stream;
            await WriteAsync(device.Disk, 11);
        }

        Assert.Equal(isToTemplate ? chain.Expect(s_images[2], s_images[0]) : chain.Expect(s_images[2]), chain.FollowWithQemu());
        File.Delete(_folder.File("first.qcow2"));
        chain.AssertCheckedAndIdentical();
    }

    [Fact]
    public async Task A_disk_that_was_moved_in_three_steps_is_what_qemu_reads()
    {
        var chain = new QemuChain(_folder, s_images);
        string copy = _folder.File("copy.qcow2");
        await using (var host = new LibvirtHost())
        {
            (LibvirtConnection connection, Domain domain) = await StartAsync(host, chain);
            var api = new BlockSwitchApi(connection);
            DomainDisk disk = domain.FindDisk("vda");
            await api.CreateCopyAsync(domain, "vda", copy);
            await WriteAsync(disk, 1);
            await api.SwitchAsync(domain, "vda", copy);
            await WriteAsync(disk, 2);
            DiskJob job = await api.StreamAsync(domain, "vda", chain.Template);
            await WriteAsync(disk, 3);
            Assert.Equal(BlockJobStatus.Completed, (await job.Completion).Status);
        }

        Assert.Equal([$"{copy} qcow2", chain.Expect(s_images[0])[0]], chain.FollowWithQemu(copy, "qcow2"));
        var qemuImg = QemuTool.Require("qemu-img");
        qemuImg.RunOk("check", "-q", "-f", "qcow2", chain.Current); // the disk that was left is sound, too
        File.Delete(chain.Current);
        File.Delete(_folder.File("first.qcow2"));
        qemuImg.RunOk("check", "-q", "-f", "qcow2", copy);
        Assert.Equal("Images are identical.\n", qemuImg.RunOk("compare", "-f", "raw", "-F", "qcow2", chain.Flattened, copy));
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public async Task What_is_left_is_what_qemu_reads(string way)
    {
        var chain = new QemuChain(_folder, s_images);
        await using (var host = new LibvirtHost())
        {
            (LibvirtConnection connection, Domain domain) = await StartAsync(host, chain);
            await StreamAsync(way, connection, domain, chain.Current);
        }

        bool isToTemplate = way.EndsWith("template", StringComparison.Ordinal);
        Assert.Equal(isToTemplate ? chain.Expect(s_images[2], s_images[0]) : chain.Expect(s_images[2]), chain.FollowWithQemu());
        File.Delete(_folder.File("first.qcow2"));
        chain.AssertCheckedAndIdentical();
        chain.WriteWithQemu("write -P 200 100k 300k");
        chain.AssertCheckedAndIdentical();
    }

    public void Dispose() => _folder.Dispose();

    private static async Task<(LibvirtConnection Connection, Domain Domain)> StartAsync(LibvirtHost host, QemuChain chain)
    {
        LibvirtConnection connection = host.Connect();
        Domain domain = await connection.CreateAsync(
            $"""
            <domain type='qemu'><name>vm</name><devices>
              <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{chain.Current}'/><target dev='vda'/></disk>
            </devices></domain>
            """);
        return (connection, domain);
    }

    private async Task StreamAsync(string way, LibvirtConnection connection, Domain domain, string path)
    {
        var first = new StreamDiskCalls(connection);
        var third = new BlockStreamApi(connection);
        DomainDisk disk = domain.FindDisk("vda");
        switch (way)
        {
            case "START":
                DiskJob whole = await new StreamDiskApi(connection).StartAsync(domain, "vda");
                await WriteAsync(disk, 10);
                Assert.Equal(BlockJobStatus.Completed, (await whole.Completion).Status);
                break;
            case "ONE":
                long offset = 0;
                for (int i = 0; offset < disk.Open!.Length; i++)
                {
                    offset = await first.StreamDisk(domain, "vda", (ulong)offset, StreamDiskFlags.One);
                    Assert.True(offset > 0, connection.LastError.Message);
                    await WriteAsync(disk, i);
                }

                break;
            case "CONTINUOUS":
                DiskJob continuous = await third.StartAsync(domain, path);
                await WriteAsync(disk, 10);
                Assert.Equal(BlockJobStatus.Completed, (await continuous.Completion).Status);
                break;
            case "increments":
                var cursor = new BlockStreamCursor();
                for (int i = 0; !(await third.StreamAsync(domain, path, cursor)).IsComplete; i++)
                {
                    await WriteAsync(disk, i);
                }

                break;
            default:
                BlockNode? @base = way.EndsWith("template", StringComparison.Ordinal) ? disk.Open!.Chain[2] : null;
                BackgroundCopy copy = await BackgroundCopyApi.StartAsync(disk.Open!.Root, @base, callback: null);
                await WriteAsync(disk, 10);
                Assert.Equal(JobOutcome.Completed, (await copy.Completion).Outcome);
                break;
        }
    }

    // The guest writes behind the stream and before it, to the disk and to what it is compared with.
    private Task WriteAsync(DomainDisk disk, int number) => WriteAsync(disk.Open!, number);

    private async Task WriteAsync(Disk disk, int number)
    {
        int offset = (number * 7919 % 60 * 48 * 1024) + 512;
        await disk.WriteAsync(offset, Enumerable.Repeat((byte)(100 + number), GuestLength).ToArray());
        _qemuIo.RunOk("-f", "raw", "-c", $"write -P {100 + number} {offset} {GuestLength}", _folder.File("flattened"));
    }
}
