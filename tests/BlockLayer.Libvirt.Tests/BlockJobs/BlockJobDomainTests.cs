using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;
using static BlockLayer.Libvirt.Tests.BlockJobs.BlockJobWorld;

namespace BlockLayer.Libvirt.Tests.BlockJobs;

/// <summary>Jobs and what else there is of a domain: other disks, other domains, disks that copy on read or are read-only, other connections.</summary>
public class BlockJobDomainTests
{
    [Fact]
    public void Disks_have_jobs_of_their_own() => Run(async world =>
    {
        await world.CreateAsync("/vm/one.img", "base.img");
        await world.CreateAsync("/vm/two.img", "base.img");
        Domain domain = await world.Connection.CreateAsync(LibvirtWorld.DomainXml("two", LibvirtWorld.DiskXml("vda", "/vm/one.img"), LibvirtWorld.DiskXml("vdb", "/vm/two.img")));
        DiskJob pull = await world.Api.PullAsync(domain, "vdb", 1, BlockPullFlags.BandwidthBytes);
        DiskJob copy = await world.Api.RebaseAsync(domain, "/vm/one.img", "/vm/copy.img", 0, BlockRebaseFlags.Copy);
        Assert.True(await copy.WaitForReadyAsync());
        Assert.Equal((BlockJobType.Copy, BlockJobType.Pull), (world.Api.GetInfo(domain, "vda")?.Type, world.Api.GetInfo(domain, "vdb")?.Type));
        Assert.Null(world.Api.GetInfo(world.Domain, "vda"));
        await world.Api.AbortAsync(domain, "vda", BlockJobAbortFlags.Pivot);
        await world.Api.AbortAsync(domain, "vdb");
        Assert.Equal(["16 vda Copy Ready", "16 vda Copy Completed", "16 vdb Pull Canceled"], world.Heard.Where(told => told.StartsWith("16", StringComparison.Ordinal)));
        Assert.Equal(BlockJobStatus.Canceled, (await pull.Completion).Status);
    });

    [Fact]
    public void What_another_domain_stands_on_is_not_committed_into() => Run(async world =>
    {
        await world.CreateAsync("/vm/other.img", "base.img");
        await world.Connection.CreateAsync(LibvirtWorld.DomainXml("other", LibvirtWorld.DiskXml("vda", "/vm/other.img")));
        Assert.Equal(LibvirtErrorCode.ResourceBusy, await CodeOfAsync(() => world.Api.CommitAsync(world.Domain, "vda", top: "vda[1]")));
        Assert.Equal(LibvirtErrorCode.ResourceBusy, await CodeOfAsync(() => world.Api.CommitAsync(world.Domain, "vda", flags: BlockCommitFlags.Active)));
        Assert.Equal(BlockJobStatus.Completed, await world.EndAsync(await world.Api.CommitAsync(world.Domain, "vda", flags: BlockCommitFlags.Active | BlockCommitFlags.Shallow)));
        Assert.Equal("mid.img base.img", world.Describe());
        await world.AssertContentAsync();
    });

    [Theory]
    [InlineData("pull", "top.img")]
    [InlineData("copy", "copy.img")]
    [InlineData("commit", "top.img base.img")]
    [InlineData("active commit", "base.img")]
    public void A_disk_that_copies_on_read_has_every_job(string call, string chain) => Run(async world =>
    {
        await world.Connection.ShutOffAsync(world.Domain);
        string xml = LibvirtWorld.DomainXml("vm", LibvirtWorld.DiskXml("vda", "/vm/top.img").Replace("type='qcow2'", "type='qcow2' copy_on_read='on'", StringComparison.Ordinal));
        await world.RestartAsync(xml);
        DiskJob job = call switch
        {
            "pull" => await world.Api.PullAsync(world.Domain, "vda"),
            "copy" => await world.Api.RebaseAsync(world.Domain, "vda", "/vm/copy.img", 0, BlockRebaseFlags.Copy),
            "commit" => await world.Api.CommitAsync(world.Domain, "vda", top: "vda[1]"),
            _ => await world.Api.CommitAsync(world.Domain, "vda", flags: BlockCommitFlags.Active),
        };
        await world.WriteAsync(29, 9);
        Assert.Equal(BlockJobStatus.Completed, await world.EndAsync(job));
        Assert.Equal(chain, world.Describe());
        await world.AssertContentAsync();
    });

    [Fact]
    public void A_read_only_disk_is_neither_pulled_into_nor_committed() => Run(async world =>
    {
        await world.Connection.ShutOffAsync(world.Domain);
        await world.RestartAsync(LibvirtWorld.DomainXml("vm", LibvirtWorld.DiskXml("vda", "/vm/top.img", more: "<readonly/>")));
        Assert.Equal(LibvirtErrorCode.OperationInvalid, await CodeOfAsync(() => world.Api.PullAsync(world.Domain, "vda")));
        Assert.Null(world.Disk.Job);
        Assert.Equal("top.img mid.img base.img", world.Describe());
        await world.AssertContentAsync();
    });

    [Fact]
    public void One_connection_ends_what_another_has_started() => Run(async world =>
    {
        DiskJob job = await world.Api.PullAsync(world.Domain, "vda", 1, BlockPullFlags.BandwidthBytes);
        world.Connection.Dispose();
        using LibvirtConnection other = world.Host.Connect();
        Assert.Equal(0, await new BlockJobCalls(other).BlockJobAbort(world.Domain, "vda", 0));
        Assert.Equal(BlockJobStatus.Canceled, (await job.Completion).Status);
        Assert.Equal(-1, await world.Calls.BlockPull(world.Domain, "vda", 0, 0));
        Assert.Equal(LibvirtErrorCode.InvalidConnection, world.Connection.LastError.Code);
    });

    // libvirt, a job's end: the stored definition follows only where it names the image that the job replaces.
    [Theory]
    [InlineData("/vm/other.img", "/vm/other.img")]
    [InlineData("/vm/top.img", "/vm/copy.img")]
    public void A_definition_that_is_given_while_the_domain_runs_is_followed_only_if_it_names_the_active_image(string defined, string opened) => Run(async world =>
    {
        await world.CreateAsync("/vm/other.img");
        world.Connection.Define(LibvirtWorld.DomainXml("vm", LibvirtWorld.DiskXml("vda", defined)));
        const string toCopy = "<disk type='file'><driver name='qemu' type='qcow2'/><source file='/vm/copy.img'/></disk>";
        DiskJob copy = await world.Api.CopyAsync(world.Domain, "vda", toCopy, flags: BlockCopyFlags.TransientJob);
        Assert.Equal(BlockJobStatus.Completed, await world.EndAsync(copy));
        Assert.Contains($"file=\"{opened}\"", world.Domain.GetXml(DomainXmlFlags.Inactive), StringComparison.Ordinal);
        await world.Connection.ShutOffAsync(world.Domain);
        await world.Connection.StartAsync(world.Domain);
        Assert.Equal(opened, world.Disk.Source?.Path);
    }, DomainLifetime.Persistent);

    // Read, edited and given back after a pivot: the next pivot counts too.
    [Fact]
    public void A_definition_that_names_the_image_of_an_earlier_pivot_is_followed_to_the_next() => Run(async world =>
    {
        foreach (string path in new[] { "/vm/one.img", "/vm/two.img" })
        {
            DiskJob copy = await world.Api.CopyAsync(world.Domain, "vda", $"<disk><source file='{path}'/></disk>", flags: BlockCopyFlags.TransientJob);
            Assert.Equal(BlockJobStatus.Completed, await world.EndAsync(copy));
            world.Connection.Define(world.Domain.GetXml(DomainXmlFlags.Inactive));
        }

        DiskJob last = await world.Api.CopyAsync(world.Domain, "vda", "<disk><source file='/vm/three.img'/></disk>", flags: BlockCopyFlags.TransientJob);
        Assert.Equal(BlockJobStatus.Completed, await world.EndAsync(last));
        await world.Connection.ShutOffAsync(world.Domain);
        await world.Connection.StartAsync(world.Domain);
        Assert.Equal("/vm/three.img", world.Disk.Source?.Path);
        await world.AssertContentAsync();
    }, DomainLifetime.Persistent);

    // On threads of this machine: users who start, abort, pivot and ask, all at once, for as long as it takes.
    [Fact]
    public async Task Many_users_at_once_leave_one_end_for_each_job_and_the_guests_data()
    {
        using var folder = new TemporaryFolder();
        byte[] content = new byte[LibvirtWorld.DiskLength];
        new Random(5).NextBytes(content);
        var image = new NewImage { Format = "qcow2", Length = LibvirtWorld.DiskLength };
        await using (Disk bottom = await BlockLayer.Images.Disk.CreateAsync(folder.File("base.img"), image))
        {
            await bottom.WriteAsync(0, content);
        }

        await using (await BlockLayer.Images.Disk.CreateAsync(folder.File("top.img"), image with { Backing = new BackingReference("base.img", "qcow2") }))
        {
        }

        await using var host = new LibvirtHost();
        LibvirtConnection connection = host.Connect();
        Domain domain = await connection.CreateAsync(LibvirtWorld.DomainXml("vm", LibvirtWorld.DiskXml("vda", folder.File("top.img"))));
        int ends = 0;
        BlockJobCallback count = (_, _, _, status) => Interlocked.Add(ref ends, status == BlockJobStatus.Ready ? 0 : 1);
        connection.RegisterDomainEvent(domain, DomainEventId.BlockJob2, count);
        int started = 0;
        await Task.WhenAll(Enumerable.Range(0, 4).Select(user => Task.Run(() => UserAsync(user))));
        await connection.ShutOffAsync(domain);
        Assert.Equal(started, Volatile.Read(ref ends));
        await connection.Host.DisposeAsync();
        byte[] found = new byte[content.Length];
        string active = Directory.GetFiles(folder.Path, "copy-*").Append(folder.File("top.img")).First(path => path == domain.FindDisk("vda").Source!.Path);
        await using Disk last = await BlockLayer.Images.Disk.OpenAsync(active);
        await last.ReadAsync(0, found);
        Assert.Equal(content, found);

        async Task UserAsync(int user)
        {
            var random = new Random(user);
            using LibvirtConnection mine = host.Connect();
            var calls = new BlockJobCalls(mine);
            for (int step = 0; Volatile.Read(ref started) < 30; step++)
            {
                Assert.InRange(step, 0, 10_000_000); // a user whose calls are refused asks again at once, while the one whose job it is may not have a processor
                int answer = random.Next(5) switch
                {
                    0 => Count(await calls.BlockRebase(domain, "vda", folder.File($"copy-{user}-{step}"), 0, BlockRebaseFlags.Copy)),
                    1 => Count(await calls.BlockPull(domain, "vda", 0, 0)),
                    2 => await calls.BlockJobAbort(domain, "vda", (BlockJobAbortFlags)random.Next(4)),
                    3 => await calls.BlockJobSetSpeed(domain, "vda", (ulong)random.Next(2) * 100_000, 0), // so fast that no job sleeps
                    _ => calls.GetBlockJobInfo(domain, "vda", out _, 0),
                };
                LibvirtErrorCode[] allowed = [LibvirtErrorCode.OperationInvalid, LibvirtErrorCode.BlockCopyActive, LibvirtErrorCode.OperationUnsupported];
                bool isAllowed = allowed.Contains(mine.LastError.Code) || mine.LastError is { Code: LibvirtErrorCode.InvalidArg, Message: "No job runs on the disk 'vda'." };
                Assert.True(answer >= 0 || isAllowed, mine.LastError.ToString());
            }
        }

        int Count(int answer)
        {
            Interlocked.Add(ref started, answer == 0 ? 1 : 0);
            return answer;
        }
    }
}
