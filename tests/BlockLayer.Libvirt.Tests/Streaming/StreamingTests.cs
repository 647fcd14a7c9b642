using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Simulation;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Libvirt.Tests.Streaming;

/// <summary>Filling an image by a driver, and a live move in three steps. The chain is template &lt;- middle &lt;- image.</summary>
public class StreamingTests
{
    private const int Unit = 64 * 1024;
    private const int Length = 16 * Unit;

    private readonly BlockEnvironment _environment = SimulatedEnvironment.Inline(new SimulatedStorageProvider());

    private DiskOptions Options => new() { Format = "qcow2", Environment = _environment };

    [Fact]
    public async Task A_device_has_streamed_although_an_image_that_it_left_cannot_be_closed()
    {
        await MakeChainAsync();
        DiskOptions options = Options with { Environment = _environment with { Files = new HookedStorageProvider(_environment.Files, "/vm/middle", new FailingClose()) } };
        await using BlkStreamApi device = await BlkStreamApi.OpenAsync("blkstream:/vm/image", "/vm/template", options);
        Assert.Equal(FailingClose.Message, (await device.StreamAsync())?.Message);
        Assert.Equal("image template", ChainOf(device.Disk));
        Assert.Null(await device.StreamAsync()); // there is nothing left to do
    }

    [Theory]
    [InlineData("/vm/template", "image template")]
    [InlineData(null, "image")]
    public async Task A_device_that_was_read_to_its_end_stands_on_its_base(string? @base, string chain)
    {
        byte[] content = await MakeChainAsync();
        await using (BlkStreamApi device = await BlkStreamApi.OpenAsync("blkstream:/vm/image", @base, Options))
        {
            byte[] some = new byte[Unit];
            await device.Disk.ReadAsync(0, some); // of the template alone
            Assert.Equal(@base is null, (await device.Disk.GetStatusAsync(0, Unit)).Depth == 0);
            await device.Disk.WriteAsync(5 * Unit, GuestStamp.Create(5 * Unit, Unit, writer: 9));
            await device.StreamAsync();
            Assert.Equal((Length, chain), (device.Position, ChainOf(device.Disk)));
            await device.Disk.WriteAsync(6 * Unit, GuestStamp.Create(6 * Unit, 512, writer: 10));
            await device.StreamAsync();
        }

        GuestStamp.Create(5 * Unit, Unit, writer: 9).CopyTo(content, 5 * Unit);
        GuestStamp.Create(6 * Unit, 512, writer: 10).CopyTo(content, 6 * Unit);
        await using Disk disk = await Disk.OpenAsync("/vm/image", Options);
        Assert.Equal(chain, ChainOf(disk));
        Assert.Equal(content, await OracleGuest.ReadAllAsync(disk.Root));
        Assert.Equal(@base is null, (await disk.GetStatusAsync(0, Unit)).Depth == 0); // what the base has is not copied
    }

    [Theory]
    [InlineData("/vm/image")]
    [InlineData("blkverify:/vm/a:/vm/image")]
    public async Task Another_name_is_no_device_that_streams(string name)
        => await Assert.ThrowsAsync<ArgumentException>(() => BlkStreamApi.OpenAsync(name, options: Options).AsTask());

    [Fact]
    public async Task A_base_that_is_not_below_the_image_is_refused_and_nothing_stays_open()
    {
        await MakeChainAsync();
        var refusal = await Assert.ThrowsAsync<BlockLayerException>(() => BlkStreamApi.OpenAsync("blkstream:/vm/image", "/vm/other", Options).AsTask());
        Assert.Equal(BlockErrorKind.NotFound, refusal.Kind);
        await using Disk free = await Disk.OpenAsync("/vm/image", Options);
    }

    [Fact]
    public async Task Three_steps_move_a_disk_to_a_copy_that_stands_on_the_template()
    {
        byte[] content = await MakeChainAsync();
        await using var host = new LibvirtHost(new LibvirtHostOptions { Disks = new DiskOptions { Environment = _environment } });
        LibvirtConnection connection = host.Connect();
        Domain domain = await connection.CreateAsync(LibvirtWorld.DomainXml("vm", LibvirtWorld.DiskXml("vda", "/vm/image")));
        DomainDisk disk = domain.FindDisk("vda");
        var api = new BlockSwitchApi(connection);
        await api.CreateCopyAsync(domain, "vda", "/vm/copy.img");
        Assert.Equal("image middle template", ChainOf(disk.Open!));
        int noted = 0;
        await api.SwitchAsync(domain, "vda", "/vm/copy.img", _ =>
        {
            noted++;
            return ValueTask.CompletedTask;
        });
        Assert.Equal((1, "copy.img image middle template"), (noted, ChainOf(disk.Open!)));
        await disk.Open!.WriteAsync(Unit, GuestStamp.Create(Unit, Unit, writer: 7));
        DiskJob job = await api.StreamAsync(domain, "vda", "/vm/template");
        Assert.Equal(BlockJobStatus.Completed, (await job.Completion).Status);

        Assert.Equal("copy.img template", ChainOf(disk.Open!));
        byte[] before = (byte[])content.Clone();
        GuestStamp.Create(Unit, Unit, writer: 7).CopyTo(content, Unit);
        Assert.Equal(content, await OracleGuest.ReadAllAsync(disk.Open!.Root));
        await connection.ShutOffAsync(domain);
        await using Disk old = await Disk.OpenAsync("/vm/image", Options);
        Assert.Equal(before, await OracleGuest.ReadAllAsync(old.Root));
    }

    [Fact]
    public async Task A_switch_is_done_although_the_image_below_cannot_be_made_read_only()
    {
        await MakeChainAsync();
        BlockEnvironment stuck = _environment with { Files = new HookedStorageProvider(_environment.Files, "/vm/image", new StuckLock()) };
        await using var host = new LibvirtHost(new LibvirtHostOptions { Disks = new DiskOptions { Environment = stuck } });
        LibvirtConnection connection = host.Connect();
        Domain domain = await connection.CreateAsync(LibvirtWorld.DomainXml("vm", LibvirtWorld.DiskXml("vda", "/vm/image")));
        var api = new BlockSwitchApi(connection);
        await api.CreateCopyAsync(domain, "vda", "/vm/copy.img");
        Assert.Equal($"/vm/image: {StuckLock.Message}", (await api.SwitchAsync(domain, "vda", "/vm/copy.img"))?.Message);
        Assert.Equal("copy.img image middle template", ChainOf(domain.FindDisk("vda").Open!));
    }

    [Fact]
    public async Task Steps_that_cannot_be_done_say_why()
    {
        await MakeChainAsync();
        await using var host = new LibvirtHost(new LibvirtHostOptions { Disks = new DiskOptions { Environment = _environment } });
        LibvirtConnection connection = host.Connect();
        Domain domain = await connection.CreateAsync(LibvirtWorld.DomainXml("vm", LibvirtWorld.DiskXml("vda", "/vm/image")));
        var api = new BlockSwitchApi(connection);
        Assert.Equal(LibvirtErrorCode.InvalidArg, (await Assert.ThrowsAsync<LibvirtException>(() => api.StreamAsync(domain, "vdx").AsTask())).Code);
        Assert.Equal(LibvirtErrorCode.ConfigUnsupported, (await Assert.ThrowsAsync<LibvirtException>(async () => await api.CreateCopyAsync(domain, "vda", "/vm/middle"))).Code);
        Assert.Equal(LibvirtErrorCode.SystemError, (await Assert.ThrowsAsync<LibvirtException>(async () => await api.SwitchAsync(domain, "vda", "/vm/nothing"))).Code);
        Assert.Equal("image middle template", ChainOf(domain.FindDisk("vda").Open!));
    }

    // The template fills the first half, the middle some of both.
    private async Task<byte[]> MakeChainAsync()
    {
        string? below = null;
        foreach ((string name, int start, int length) in new[] { ("template", 0, Length / 2), ("middle", 3 * Unit, 8 * Unit), ("image", 10 * Unit, Unit / 2) })
        {
            var image = new NewImage { Format = "qcow2", Length = Length, Backing = below is null ? null : new BackingReference(below, "qcow2") };
            await using Disk disk = await Disk.CreateAsync($"/vm/{name}", image, Options);
            await disk.WriteAsync(start, GuestStamp.Create(start, length, writer: name.Length));
            below = name;
        }

        await using Disk whole = await Disk.OpenAsync("/vm/image", Options);
        return await OracleGuest.ReadAllAsync(whole.Root);
    }

    private static string ChainOf(Disk disk) => string.Join(' ', disk.Chain.Select(static image => image.Path!["/vm/".Length..]));
}
