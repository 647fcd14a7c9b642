using BlockLayer.Images;
using Xunit;

namespace BlockLayer.Libvirt.Tests.Domains;

/// <summary>A domain's life: defined, started, stopped, gone.</summary>
public class DomainTests
{
    [Fact]
    public async Task A_defined_domain_is_shut_off_and_outlives_a_stop()
    {
        await using var world = new LibvirtWorld();
        await world.CreateChainAsync(("/vm/a.img", null));
        Domain domain = world.Connection.Define(LibvirtWorld.DomainXml("vm", LibvirtWorld.DiskXml("vda", "/vm/a.img")));
        Assert.Equal((DomainState.ShutOff, true, null), (domain.State, domain.IsPersistent, domain.Id));
        Assert.Null(domain.FindDisk("vda").Open);

        await world.Connection.StartAsync(domain);
        Assert.Equal(DomainState.Running, domain.State);
        Disk disk = domain.FindDisk("vda").Open!;
        await disk.WriteAsync(0, new byte[] { 1, 2, 3 });

        await world.Connection.ShutOffAsync(domain);
        Assert.Equal(DomainState.ShutOff, domain.State);
        Assert.Same(domain, world.Connection.FindDomain("vm"));
        await world.Connection.StartAsync(domain);
        byte[] read = new byte[3];
        await domain.FindDisk("/vm/a.img").Open!.ReadAsync(0, read);
        Assert.Equal([1, 2, 3], read);
    }

    [Fact]
    public async Task A_created_domain_is_gone_when_it_stops()
    {
        await using var world = new LibvirtWorld();
        Domain domain = await world.StartChainOfThreeAsync();
        Assert.False(domain.IsPersistent);
        await world.Connection.ShutOffAsync(domain);
        Assert.Equal(LibvirtErrorCode.NoDomain, Assert.Throws<LibvirtException>(() => world.Connection.FindDomain("vm")).Code);
        await using Disk free = await Disk.OpenAsync("/vm/top.img", new DiskOptions { Environment = world.Environment }); // its lock is free again
    }

    [Fact]
    public async Task Undefining_makes_a_running_domain_transient_and_defining_makes_it_persistent()
    {
        await using var world = new LibvirtWorld();
        Domain domain = await world.StartChainOfThreeAsync();
        Assert.Same(domain, world.Connection.Define(domain.GetXml(DomainXmlFlags.Inactive)));
        Assert.True(domain.IsPersistent);
        world.Connection.Undefine(domain);
        Assert.False(domain.IsPersistent);
        var error = Assert.Throws<LibvirtException>(() => world.Connection.Undefine(domain));
        Assert.Equal((LibvirtErrorCode.OperationInvalid, "The domain 'vm' is transient: there is nothing to undefine."), (error.Code, error.Message));
        await world.Connection.ShutOffAsync(domain);
        Assert.Empty(world.Connection.Domains);
    }

    [Fact]
    public async Task A_domain_that_is_shut_off_is_gone_when_it_is_undefined()
    {
        await using var world = new LibvirtWorld();
        world.Connection.Undefine(world.Connection.Define(LibvirtWorld.DomainXml("vm")));
        Assert.Empty(world.Connection.Domains);
    }

    [Fact]
    public async Task Names_are_taken_once()
    {
        await using var world = new LibvirtWorld();
        await world.StartChainOfThreeAsync();
        var error = await Assert.ThrowsAsync<LibvirtException>(() => world.Connection.CreateAsync(LibvirtWorld.DomainXml("vm")).AsTask());
        Assert.Equal((LibvirtErrorCode.DomainExists, "There is a domain 'vm' already."), (error.Code, error.Message));
    }

    [Fact]
    public async Task Starting_what_runs_and_stopping_what_does_not_are_refused()
    {
        await using var world = new LibvirtWorld();
        Domain domain = world.Connection.Define(LibvirtWorld.DomainXml("vm"));
        var error = await Assert.ThrowsAsync<LibvirtException>(() => world.Connection.ShutOffAsync(domain).AsTask());
        Assert.Equal((LibvirtErrorCode.OperationInvalid, "The domain 'vm' is not running."), (error.Code, error.Message));
        await world.Connection.StartAsync(domain);
        error = await Assert.ThrowsAsync<LibvirtException>(() => world.Connection.StartAsync(domain).AsTask());
        Assert.Equal((LibvirtErrorCode.OperationInvalid, "The domain 'vm' runs already."), (error.Code, error.Message));
    }

    [Fact]
    public async Task A_start_opens_all_disks_or_none()
    {
        await using var world = new LibvirtWorld();
        await world.CreateChainAsync(("/vm/a.img", null));
        string xml = LibvirtWorld.DomainXml("vm", LibvirtWorld.DiskXml("vda", "/vm/a.img"), LibvirtWorld.DiskXml("vdb", "/vm/missing.img"));
        var error = await Assert.ThrowsAsync<LibvirtException>(() => world.Connection.CreateAsync(xml).AsTask());
        Assert.Equal(LibvirtErrorCode.SystemError, error.Code);
        Assert.StartsWith("The disk 'vdb' cannot be opened: ", error.Message, StringComparison.Ordinal);
        Assert.Contains("/vm/missing.img", error.Message, StringComparison.Ordinal);
        Assert.Empty(world.Connection.Domains);
        await using Disk free = await Disk.OpenAsync("/vm/a.img", new DiskOptions { Environment = world.Environment });
    }

    [Fact]
    public async Task A_file_that_somebody_writes_cannot_be_a_disk()
    {
        await using var world = new LibvirtWorld();
        await world.StartChainOfThreeAsync();
        string xml = LibvirtWorld.DomainXml("other", LibvirtWorld.DiskXml("vda", "/vm/top.img"));
        var error = await Assert.ThrowsAsync<LibvirtException>(() => world.Connection.CreateAsync(xml).AsTask());
        Assert.Equal(LibvirtErrorCode.ResourceBusy, error.Code);
    }

    [Fact]
    public async Task A_disk_is_opened_as_it_is_defined()
    {
        await using var world = new LibvirtWorld();
        await world.CreateChainAsync(("/vm/base.img", null), ("/vm/a.img", "base.img"), ("/vm/b.img", null));
        string copies = "<disk type='file'><driver name='qemu' type='qcow2' copy_on_read='on'/><source file='/vm/a.img'/><target dev='vda'/></disk>";
        Domain domain = await world.Connection.CreateAsync(LibvirtWorld.DomainXml("vm", copies, LibvirtWorld.DiskXml("vdb", "/vm/b.img", more: "<readonly/>")));
        Assert.Equal("copy-on-read", domain.FindDisk("vda").Open!.Root.GetChild(BlockLayer.Graph.EdgeRole.Filtered)!.DriverName);
        Assert.False(domain.FindDisk("vda").Open!.IsReadOnly);
        Assert.True(domain.FindDisk("vdb").Open!.IsReadOnly);
    }

    [Theory]
    [InlineData("<backingStore type='file'><format type='qcow2'/><source file='/vm/mid.img'/></backingStore>", null)]
    [InlineData("<backingStore type='file'><source file='/vm/./mid.img'/><backingStore type='file'><source file='/vm/base.img'/><backingStore/></backingStore></backingStore>", null)]
    [InlineData("<backingStore/>", "The disk 'vda' declares the end of the chain as backing store 1, and its images lead to '/vm/mid.img' (qcow2).")]
    [InlineData("<backingStore type='file'><source file='/vm/base.img'/></backingStore>", "The disk 'vda' declares '/vm/base.img' as backing store 1, and its images lead to '/vm/mid.img' (qcow2).")]
    [InlineData("<backingStore type='file'><format type='raw'/><source file='/vm/mid.img'/></backingStore>", "The disk 'vda' declares '/vm/mid.img' (raw) as backing store 1, and its images lead to '/vm/mid.img' (qcow2).")]
    [InlineData("<backingStore type='file'><source file='/vm/mid.img'/><backingStore type='file'><source file='/vm/base.img'/><backingStore type='file'><source file='/vm/x'/></backingStore></backingStore></backingStore>", "The disk 'vda' declares '/vm/x' as backing store 3, and its images lead to the end of the chain.")]
    public async Task A_declared_chain_has_to_be_what_the_images_say(string declared, string? refusal)
    {
        await using var world = new LibvirtWorld();
        await world.CreateChainAsync(("/vm/base.img", null), ("/vm/mid.img", "base.img"), ("/vm/top.img", "mid.img"));
        string xml = LibvirtWorld.DomainXml("vm", LibvirtWorld.DiskXml("vda", "/vm/top.img", more: declared));
        if (refusal is null)
        {
            Assert.Equal(3, (await world.Connection.CreateAsync(xml)).FindDisk("vda").Chain.Count);
            return;
        }

        var error = await Assert.ThrowsAsync<LibvirtException>(() => world.Connection.CreateAsync(xml).AsTask());
        Assert.Equal((LibvirtErrorCode.ConfigUnsupported, refusal), (error.Code, error.Message));
    }

    [Fact]
    public async Task Optional_files_that_are_missing_leave_a_drive_empty_and_a_disk_out_and_are_told()
    {
        await using var world = new LibvirtWorld();
        string[] disks =
        [
            "<disk type='file' device='cdrom'><source file='/vm/cd.iso' startupPolicy='optional'/><target dev='sda'/></disk>",
            "<disk type='file'><driver type='qcow2'/><source file='/vm/extra.img' startupPolicy='optional'/><target dev='vdb'/></disk>",
        ];
        var told = new List<string>();
        world.Connection.RegisterDomainEvent(
            null,
            DomainEventId.DiskChange,
            new DiskChangeCallback((domain, old, @new, target, reason) => told.Add($"{domain.Name} {domain.State} {old}->{@new ?? "none"} {target} {reason}")));
        Domain domain = await world.Connection.CreateAsync(LibvirtWorld.DomainXml("vm", disks));
        Assert.Equal(["sda"], domain.Disks.Select(disk => disk.Target));
        Assert.Equal(["vm Running /vm/cd.iso->none sda MissingOnStart", "vm Running /vm/extra.img->none vdb DropMissingOnStart"], told);
        Assert.DoesNotContain("vdb", domain.GetXml(), StringComparison.Ordinal);
        Assert.DoesNotContain("cd.iso", domain.GetXml(), StringComparison.Ordinal);
        Assert.Contains("cd.iso", domain.GetXml(DomainXmlFlags.Inactive), StringComparison.Ordinal);
        Assert.Contains("vdb", domain.GetXml(DomainXmlFlags.Inactive), StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_is_missing_is_told_of_every_disk_whatever_a_listener_throws()
    {
        await using var world = new LibvirtWorld();
        string[] disks = [.. new[] { "sda", "sdb" }.Select(static target => $"<disk type='file' device='cdrom'><source file='/vm/{target}.iso' startupPolicy='optional'/><target dev='{target}'/></disk>")];
        var told = new List<string>();
        DiskChangeCallback failing = (_, _, _, target, _) =>
        {
            told.Add(target);
            throw new InvalidOperationException($"at {target}");
        };
        world.Connection.RegisterDomainEvent(null, DomainEventId.DiskChange, failing);
        Domain domain = world.Connection.Define(LibvirtWorld.DomainXml("vm", disks));
        Assert.Equal("at sda", (await Assert.ThrowsAsync<InvalidOperationException>(() => world.Connection.StartAsync(domain).AsTask())).Message);
        Assert.Equal(["sda", "sdb"], told);
        Assert.Equal(DomainState.Running, domain.State);
    }

    [Fact]
    public async Task A_read_only_connection_looks_and_changes_nothing()
    {
        await using var world = new LibvirtWorld();
        Domain domain = await world.StartChainOfThreeAsync();
        using LibvirtConnection reader = world.Host.Connect(ConnectionAccess.ReadOnly);
        Assert.Same(domain, reader.FindDomain("vm"));
        Assert.Contains("top.img", reader.FindDomain("vm").GetXml(), StringComparison.Ordinal);
        Func<Task>[] writes =
        [
            () => Task.FromResult(reader.Define(LibvirtWorld.DomainXml("x"))),
            () => reader.CreateAsync(LibvirtWorld.DomainXml("x")).AsTask(),
            () => reader.StartAsync(domain).AsTask(),
            () => reader.ShutOffAsync(domain).AsTask(),
            () => Task.Run(() => reader.Undefine(domain)),
        ];
        foreach (Func<Task> write in writes)
        {
            var error = await Assert.ThrowsAsync<LibvirtException>(write);
            Assert.Equal((LibvirtErrorCode.OperationDenied, "The connection is read-only."), (error.Code, error.Message));
        }

        Assert.Equal(DomainState.Running, domain.State);
    }

    [Fact]
    public async Task A_closed_connection_and_a_domain_of_another_host_are_refused()
    {
        await using var world = new LibvirtWorld();
        await using var other = new LibvirtWorld();
        Domain foreign = other.Connection.Define(LibvirtWorld.DomainXml("vm"));
        Assert.Equal(LibvirtErrorCode.InvalidDomain, Assert.Throws<LibvirtException>(() => world.Connection.Undefine(foreign)).Code);
        world.Connection.Dispose();
        Assert.Equal(LibvirtErrorCode.InvalidConnection, Assert.Throws<LibvirtException>(() => world.Connection.Define("<domain/>")).Code);
    }

    [Theory]
    [InlineData(0, LibvirtErrorCode.OperationInvalid)]
    [InlineData(3, LibvirtErrorCode.OperationInvalid)]
    [InlineData(4, LibvirtErrorCode.Ok)]
    [InlineData(7, LibvirtErrorCode.Ok)]
    public async Task A_persistent_domain_has_a_copy_only_when_it_may_be_lost(int flags, LibvirtErrorCode expected)
    {
        await using var world = new LibvirtWorld();
        Domain persistent = world.Connection.Define(LibvirtWorld.DomainXml("vm"));
        Exception? error = Record.Exception(() => persistent.RequireTransient((BlockCopyFlags)flags));
        Assert.Equal(expected, (error as LibvirtException)?.Code ?? LibvirtErrorCode.Ok);
        Domain transient = await world.Connection.CreateAsync(LibvirtWorld.DomainXml("t"));
        transient.RequireTransient((BlockCopyFlags)flags);
    }

    [Theory]
    [InlineData(BlockJobType.Pull, LibvirtErrorCode.OperationUnsupported)]
    [InlineData(BlockJobType.Commit, LibvirtErrorCode.OperationUnsupported)]
    [InlineData(BlockJobType.Copy, LibvirtErrorCode.BlockCopyActive)]
    [InlineData(BlockJobType.ActiveCommit, LibvirtErrorCode.BlockCopyActive)]
    public async Task A_disk_has_one_job_at_a_time(BlockJobType running, LibvirtErrorCode expected)
    {
        await using var world = new LibvirtWorld();
        DomainDisk disk = (await world.StartChainOfThreeAsync()).FindDisk("vda");
        Assert.Null(disk.DescribeJob(BlockJobInfoFlags.None, ClientLong.Bits64));
        var job = new StubJob(running) { Current = 3, End = 7 };
        disk.Occupy(job);
        Assert.Equal(new BlockJobInfo(running, 0, 3, 7), disk.DescribeJob(BlockJobInfoFlags.None, ClientLong.Bits64));
        var error = Assert.Throws<LibvirtException>(() => disk.Occupy(new StubJob(BlockJobType.Pull)));
        Assert.Equal((expected, "A job runs on the disk 'vda' already."), (error.Code, error.Message));
        Assert.Throws<LibvirtException>(disk.ThrowIfOccupied);
        disk.Release(new StubJob(running)); // another one: nothing happens
        Assert.Same(job, disk.Job);
        disk.Release(job);
        disk.ThrowIfOccupied();
    }
}
