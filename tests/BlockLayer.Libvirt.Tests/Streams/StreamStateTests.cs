using BlockLayer.Simulation;
using Xunit;
using static BlockLayer.Libvirt.LibvirtErrorCode;

namespace BlockLayer.Libvirt.Tests.Streams;

/// <summary>Every call of the first and third generation in every state that a disk can be in.</summary>
public class StreamStateTests
{
    private static readonly string[] s_calls = ["START", "STOP", "ONE", "StreamDiskInfo", "CONTINUOUS", "increment", "Abort", "GetBlockStreamInfo"];

    // In the order of s_calls. An array of what streams is Ok also when it is empty.
    private static readonly Dictionary<string, LibvirtErrorCode[]> s_expected = new()
    {
        ["has a chain"] = [Ok, OperationInvalid, Ok, Ok, Ok, Ok, OperationInvalid, Ok],
        ["needs nothing"] = [Ok, OperationInvalid, Ok, Ok, Ok, Ok, OperationInvalid, Ok],
        ["was stopped halfway"] = [Ok, OperationInvalid, Ok, Ok, Ok, Ok, OperationInvalid, Ok],
        ["streams, started by START"] = [OperationUnsupported, Ok, OperationUnsupported, Ok, OperationUnsupported, OperationUnsupported, Ok, Ok],
        ["streams, started by CONTINUOUS"] = [OperationUnsupported, Ok, OperationUnsupported, Ok, OperationUnsupported, OperationUnsupported, Ok, Ok],
        ["streams, started by BlockRebase"] = [OperationUnsupported, Ok, OperationUnsupported, Ok, OperationUnsupported, OperationUnsupported, Ok, Ok],
        ["is being copied"] = [BlockCopyActive, OperationInvalid, BlockCopyActive, Ok, BlockCopyActive, BlockCopyActive, OperationInvalid, Ok],
        ["is shut off"] = [OperationInvalid, OperationInvalid, OperationInvalid, OperationInvalid, OperationInvalid, OperationInvalid, OperationInvalid, OperationInvalid],
        ["is looked at read-only"] = [OperationDenied, OperationDenied, OperationDenied, Ok, OperationDenied, OperationDenied, OperationDenied, Ok],
        ["is looked at through a closed connection"] =
            [InvalidConnection, InvalidConnection, InvalidConnection, InvalidConnection, InvalidConnection, InvalidConnection, InvalidConnection, InvalidConnection],
    };

    public static TheoryData<string> States => [.. s_expected.Keys];

    [Theory]
    [MemberData(nameof(States))]
    public void Every_call_is_taken_or_refused(string state)
    {
        for (int call = 0; call < s_calls.Length; call++)
        {
            int which = call;
            StreamRig.Run(async rig =>
            {
                LibvirtConnection connection = await EnterAsync(rig, state, out Action leave);
                Assert.Equal(
                    (s_calls[which], s_expected[state][which]),
                    (s_calls[which], await CallAsync(rig.Domain, connection, s_calls[which], leave)));
            }, state == "is shut off" ? DomainLifetime.Persistent : DomainLifetime.Transient);
        }
    }

    [Fact]
    public void Only_what_streams_whole_is_told()
    {
        foreach (string state in s_expected.Keys.Where(state => !state.Contains("shut") && !state.Contains("closed")))
        {
            StreamRig.Run(async rig =>
            {
                LibvirtConnection connection = await EnterAsync(rig, state, out Action leave);
                Assert.Equal((state, state.StartsWith("streams", StringComparison.Ordinal) ? 1 : 0), (state, new BlockStreamApi(connection).GetInfo(rig.Domain).Count));
                leave();
            });
        }
    }

    private static async Task<LibvirtErrorCode> CallAsync(Domain domain, LibvirtConnection connection, string name, Action leave)
    {
        var first = new StreamDiskCalls(connection);
        var third = new BlockStreamCalls(connection);
        Task<long> answer = name switch
        {
            "START" => first.StreamDisk(domain, "vda", 0, StreamDiskFlags.Start).AsTask(),
            "STOP" => first.StreamDisk(domain, "vda", 0, StreamDiskFlags.Stop).AsTask(),
            "ONE" => first.StreamDisk(domain, "vda", 0, StreamDiskFlags.One).AsTask(),
            "StreamDiskInfo" => Task.FromResult((long)first.StreamDiskInfo(domain, new StreamDiskState[4], 4, 0)),
            "CONTINUOUS" => Long(third.BlockStream(domain, StreamRig.Top, null, BlockStreamFlags.Continuous)),
            "increment" => Long(third.BlockStream(domain, StreamRig.Top, new BlockStreamCursor(), BlockStreamFlags.None)),
            "Abort" => Long(third.BlockStreamAbort(domain, StreamRig.Top, 0)),
            _ => Task.FromResult((long)third.GetBlockStreamInfo(domain, new BlockStreamInfo[4], 4, 0)),
        };
        leave(); // what was held goes on, so that a call that waits for it comes to its end
        Assert.Equal(connection.LastError.Code == Ok, await answer >= 0);
        return connection.LastError.Code;
    }

    private static async Task<long> Long(ValueTask<int> answer) => await answer;

    private static Task<LibvirtConnection> EnterAsync(StreamRig rig, string state, out Action leave)
    {
        StorageBreakpoint? held = state.Contains("streams") || state.Contains("copied") || state.Contains("halfway") ? rig.BreakAtBase() : null;
        leave = () =>
        {
            if (state.Contains("streams") || state.Contains("copied"))
            {
                held!.Continue();
            }
        };
        return EnterAsync(rig, state, held);
    }

    private static async Task<LibvirtConnection> EnterAsync(StreamRig rig, string state, StorageBreakpoint? held)
    {
        LibvirtConnection connection = rig.World.Connection;
        switch (state)
        {
            case "needs nothing":
                await (await rig.StreamDisk.StartAsync(rig.Domain, "vda")).Completion;
                break;
            case "was stopped halfway":
                await rig.StreamDisk.StartAsync(rig.Domain, "vda");
                await held!.ReachedAsync();
                ValueTask stop = rig.StreamDisk.StopAsync(rig.Domain, "vda");
                held.Continue();
                await stop;
                break;
            case "streams, started by START":
                await rig.StreamDisk.StartAsync(rig.Domain, "vda");
                await held!.ReachedAsync();
                break;
            case "streams, started by CONTINUOUS":
                await rig.BlockStream.StartAsync(rig.Domain, StreamRig.Top);
                await held!.ReachedAsync();
                break;
            case "streams, started by BlockRebase":
                await rig.World.Api.RebaseAsync(rig.Domain, "vda", "vda[2]");
                break;
            case "is being copied":
                await rig.World.Api.CopyAsync(rig.Domain, "vda", "<disk type='file'><source file='/vm/copy.img'/><driver type='qcow2'/></disk>");
                await held!.ReachedAsync();
                break;
            case "is shut off":
                await rig.World.Connection.ShutOffAsync(rig.Domain);
                break;
            case "is looked at read-only":
                connection = rig.World.Host.Connect(ConnectionAccess.ReadOnly);
                break;
            case "is looked at through a closed connection":
                connection = rig.World.Host.Connect();
                connection.Dispose();
                break;
        }

        return connection;
    }
}
