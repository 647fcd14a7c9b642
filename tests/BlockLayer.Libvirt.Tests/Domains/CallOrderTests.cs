using Xunit;

namespace BlockLayer.Libvirt.Tests.Domains;

/// <summary>Of several things that are wrong with a call, the one that libvirt would tell is told.</summary>
public class CallOrderTests
{
    // Each row leaves out one more of the things that are wrong.
    [Theory]
    [InlineData(ConnectionAccess.ReadOnly, null, true, false, LibvirtErrorCode.OperationDenied)]
    [InlineData(ConnectionAccess.ReadWrite, null, true, false, LibvirtErrorCode.InvalidArg)]
    [InlineData(ConnectionAccess.ReadWrite, "vdx", true, false, LibvirtErrorCode.ArgumentUnsupported)]
    [InlineData(ConnectionAccess.ReadWrite, "vdx", false, false, LibvirtErrorCode.OperationInvalid)]
    [InlineData(ConnectionAccess.ReadWrite, "vdx", false, true, LibvirtErrorCode.InvalidArg)]
    [InlineData(ConnectionAccess.ReadWrite, "vda", false, true, LibvirtErrorCode.Ok)]
    public async Task A_call_that_changes_something_is_refused_in_order(ConnectionAccess access, string? disk, bool flagsAreWrong, bool isRunning, LibvirtErrorCode expected)
    {
        await using var world = new LibvirtWorld();
        Domain domain = await MakeAsync(world, isRunning);
        using LibvirtConnection connection = world.Host.Connect(access);
        Assert.Equal(expected, CodeOf(() => connection.BeginChange(domain, disk, () => CheckFlags(flagsAreWrong))));
    }

    [Theory]
    [InlineData(null, true, false, LibvirtErrorCode.InvalidArg)]
    [InlineData("vda", true, false, LibvirtErrorCode.ArgumentUnsupported)]
    [InlineData("vda", false, false, LibvirtErrorCode.OperationInvalid)]
    [InlineData("vda", false, true, LibvirtErrorCode.Ok)]
    public async Task A_read_only_connection_may_ask(string? disk, bool flagsAreWrong, bool isRunning, LibvirtErrorCode expected)
    {
        await using var world = new LibvirtWorld();
        Domain domain = await MakeAsync(world, isRunning);
        using LibvirtConnection connection = world.Host.Connect(ConnectionAccess.ReadOnly);
        Assert.Equal(expected, CodeOf(() => connection.BeginQuery(domain, disk, () => CheckFlags(flagsAreWrong))));
    }

    // The domain is shut off, and what the call is given is looked at before that.
    [Fact]
    public async Task Parameters_of_a_copy_and_speeds_are_looked_at_after_the_flags_and_before_the_domain()
    {
        await using var world = new LibvirtWorld();
        Domain domain = await MakeAsync(world, isRunning: false);
        using LibvirtConnection reader = world.Host.Connect(ConnectionAccess.ReadOnly);
        KeyValuePair<string, ulong>[] wrong = [new("bandwith", 1)];
        KeyValuePair<string, ulong>[] right = [new("bandwidth", 1)];
        async Task<LibvirtErrorCode> CopyAsync(LibvirtConnection connection, string? disk, BlockCopyFlags flags, KeyValuePair<string, ulong>[] parameters)
        {
            Assert.Equal(-1, await new BlockJobCalls(connection).BlockCopy(domain, disk, "<disk/>", parameters, flags));
            return connection.LastError.Code;
        }

        Assert.Equal(LibvirtErrorCode.OperationDenied, await CopyAsync(reader, "vda", 0, wrong));
        Assert.Equal(LibvirtErrorCode.InvalidArg, await CopyAsync(world.Connection, null, 0, wrong));
        Assert.Equal(LibvirtErrorCode.InvalidArg, await CopyAsync(world.Connection, "vda", (BlockCopyFlags)64, wrong));
        Assert.Equal(LibvirtErrorCode.ArgumentUnsupported, await CopyAsync(world.Connection, "vda", 0, wrong));
        Assert.Equal(LibvirtErrorCode.OperationInvalid, await CopyAsync(world.Connection, "vda", 0, right));
        Assert.Equal(-1, await new BlockJobCalls(world.Connection).BlockJobSetSpeed(domain, "vda", ulong.MaxValue, 0));
        Assert.Equal(LibvirtErrorCode.Overflow, world.Connection.LastError.Code);
    }

    private static async Task<Domain> MakeAsync(LibvirtWorld world, bool isRunning)
    {
        await world.CreateChainAsync(("/vm/a.img", null));
        Domain domain = world.Connection.Define(LibvirtWorld.DomainXml("vm", LibvirtWorld.DiskXml("vda", "/vm/a.img")));
        if (isRunning)
        {
            await world.Connection.StartAsync(domain);
        }

        return domain;
    }

    private static void CheckFlags(bool areWrong)
        => CallRules.Check(BlockRebaseFlags.Copy | (areWrong ? BlockRebaseFlags.Relative : 0), "/vm/copy");

    private static LibvirtErrorCode CodeOf(Action call) => (Record.Exception(call) as LibvirtException)?.Code ?? LibvirtErrorCode.Ok;
}
