using BlockLayer.Errors;
using Xunit;

namespace BlockLayer.Libvirt.Tests.Errors;

/// <summary>A compatible call answers -1 and leaves the reason on its connection; a mistake of the program is no answer.</summary>
public class CompatibleCallTests
{
    public static TheoryData<Exception, LibvirtErrorCode, LibvirtErrorDomain> Failures => new()
    {
        { new LibvirtException(LibvirtErrorCode.BlockCopyActive, LibvirtErrorDomain.Qemu, "x"), LibvirtErrorCode.BlockCopyActive, LibvirtErrorDomain.Qemu },
        { new BlockLayerException(BlockErrorKind.Io, "x"), LibvirtErrorCode.SystemError, LibvirtErrorDomain.Qemu },
        { new BlockLayerException(BlockErrorKind.NoSpace, "x"), LibvirtErrorCode.SystemError, LibvirtErrorDomain.Qemu },
        { new BlockLayerException(BlockErrorKind.NotFound, "x"), LibvirtErrorCode.SystemError, LibvirtErrorDomain.Qemu },
        { new BlockLayerException(BlockErrorKind.ReadOnly, "x"), LibvirtErrorCode.OperationInvalid, LibvirtErrorDomain.Qemu },
        { new BlockLayerException(BlockErrorKind.OutOfRange, "x"), LibvirtErrorCode.InvalidArg, LibvirtErrorDomain.Qemu },
        { new BlockLayerException(BlockErrorKind.Unsupported, "x"), LibvirtErrorCode.ConfigUnsupported, LibvirtErrorDomain.Qemu },
        { new BlockLayerException(BlockErrorKind.Denied, "x"), LibvirtErrorCode.AccessDenied, LibvirtErrorDomain.Qemu },
        { new BlockLayerException(BlockErrorKind.Conflict, "x"), LibvirtErrorCode.ResourceBusy, LibvirtErrorDomain.Qemu },
        { new BlockLayerException(BlockErrorKind.InvalidFormat, "x"), LibvirtErrorCode.OperationFailed, LibvirtErrorDomain.Qemu },
        { new BlockLayerException(BlockErrorKind.Corrupt, "x"), LibvirtErrorCode.OperationFailed, LibvirtErrorDomain.Qemu },
        { new OpenDeniedException("Default", "/a", "x"), LibvirtErrorCode.AccessDenied, LibvirtErrorDomain.Storage },
        { new OperationCanceledException(), LibvirtErrorCode.OperationAborted, LibvirtErrorDomain.Qemu },
    };

    [Theory]
    [MemberData(nameof(Failures), DisableDiscoveryEnumeration = true)]
    public async Task A_failure_is_answered_with_minus_one_and_its_code(Exception failure, LibvirtErrorCode code, LibvirtErrorDomain domain)
    {
        await using var world = new LibvirtWorld();
        Assert.Equal(-1, await world.Connection.TryAsync(() => throw failure));
        Assert.Equal((code, domain), (world.Connection.LastError.Code, world.Connection.LastError.Domain));
        Assert.Equal(-1L, await world.Connection.TryOffsetAsync(() => ValueTask.FromException<long>(failure)));
    }

    [Fact]
    public void Every_kind_of_failure_has_a_row()
        => Assert.Empty(Enum.GetValues<BlockErrorKind>().Except(Failures.Select(row => row.Data.Item1).OfType<BlockLayerException>().Select(error => error.Kind)));

    [Fact]
    public async Task The_next_call_that_succeeds_leaves_no_error()
    {
        await using var world = new LibvirtWorld();
        await world.Connection.TryAsync(() => throw new OperationCanceledException());
        Assert.Equal(1, await world.Connection.TryAsync(() => new ValueTask<int>(1)));
        Assert.Same(LibvirtError.None, world.Connection.LastError);
        Assert.Equal(5L << 40, await world.Connection.TryOffsetAsync(() => new ValueTask<long>(5L << 40)));
    }

    [Fact]
    public async Task A_mistake_of_the_program_is_thrown()
    {
        await using var world = new LibvirtWorld();
        await Assert.ThrowsAsync<InvalidOperationException>(() => world.Connection.TryAsync(() => throw new InvalidOperationException()).AsTask());
    }

    [Fact]
    public async Task The_error_of_one_connection_is_not_anothers()
    {
        await using var world = new LibvirtWorld();
        using LibvirtConnection other = world.Host.Connect();
        await world.Connection.TryAsync(() => throw new OperationCanceledException());
        Assert.Same(LibvirtError.None, other.LastError);
    }

    [Fact]
    public void A_message_names_the_file_once()
    {
        Assert.Equal("/a: It is short.", LibvirtError.From(new BlockLayerException(BlockErrorKind.Io, "It is short.") { Path = "/a" })!.Message);
        Assert.Equal("'/a' is short.", LibvirtError.From(new BlockLayerException(BlockErrorKind.Io, "'/a' is short.") { Path = "/a" })!.Message);
    }
}
