using BlockLayer.Filters;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Formats.Qed;
using BlockLayer.Formats.Raw;
using BlockLayer.Graph;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Formats;

/// <summary>
/// A request whose token fires at any of its calls to the file either has changed nothing the guest can see, or runs to its end. The first call at which
/// the token fires is tried, then the second, until the request makes no more.
/// </summary>
public class BegunRequestTests
{
    private const int Cluster = 4096;
    private const int Length = 64 * Cluster;

    private static readonly Dictionary<string, (ImageFormat Format, ImageCreateOptions Options)> s_formats = new()
    {
        ["raw"] = (RawFormat.Instance, new ImageCreateOptions { Length = Length }),
        ["qcow2"] = (Qcow2Format.Instance, new Qcow2CreateOptions { Length = Length, ClusterSize = Cluster }),
        ["qcow2 version 2"] = (Qcow2Format.Instance, new Qcow2CreateOptions { Length = Length, ClusterSize = Cluster, Version = 2 }),
        ["qed"] = (QedFormat.Instance, new QedCreateOptions { Length = Length, ClusterSize = Cluster, TableSize = 2 }),
    };

    public static MatrixTheoryData<string, bool, bool> Cases => new(s_formats.Keys, [false, true], [false, true]);

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task A_request_that_is_cancelled_has_changed_nothing_or_is_carried_to_its_end(string format, bool zeroes, bool copiesOnRead)
    {
        int calls = 0;
        while (await RunAsync(format, zeroes, copiesOnRead, cancelAtCall: calls + 1))
        {
            calls++;
        }

        Assert.True(calls > 0, "the request made no call to its file");
    }

    /// <summary>False if the request made fewer calls.</summary>
    private static async Task<bool> RunAsync(string format, bool zeroes, bool copiesOnRead, int cancelAtCall)
    {
        var script = new Script();
        await using BlockNode disk = await CreateAsync(format, copiesOnRead, script);
        byte[] model = new byte[Length];
        foreach (int cluster in new[] { 2, 5, 6, 9 })
        {
            Pattern.Fill(model.AsSpan(cluster * Cluster, Cluster), cluster * Cluster, writer: 1);
            await disk.WriteAsync(cluster * Cluster, model.AsMemory(cluster * Cluster, Cluster));
        }

        using var cancellation = new CancellationTokenSource();
        int calls = 0;
        script.OnCall = _ =>
        {
            if (++calls == cancelAtCall)
            {
                cancellation.Cancel();
            }
        };
        bool carriedOut = true;
        Memory<byte> range = model.AsMemory((2 * Cluster) + 1000, 7 * Cluster);
        byte[] content = zeroes ? new byte[range.Length] : Pattern.Of((2 * Cluster) + 1000, range.Length, writer: 2);
        try
        {
            await (zeroes
                ? disk.WriteZeroesAsync((2 * Cluster) + 1000, range.Length, ZeroFlags.None, cancellation.Token)
                : disk.WriteAsync((2 * Cluster) + 1000, content, WriteFlags.None, cancellation.Token));
            content.CopyTo(range);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            carriedOut = false;
        }

        script.OnCall = null;
        byte[] found = new byte[Length];
        await disk.ReadAsync(0, found);
        int same = found.AsSpan().CommonPrefixLength(model);
        Assert.True(same == Length, $"cancelled at call {cancelAtCall}, carried out: {carriedOut}; differs at byte {same}");
        return cancellation.IsCancellationRequested;
    }

    private static async ValueTask<BlockNode> CreateAsync(string name, bool copiesOnRead, Script script)
    {
        BlockEnvironment environment = TestEnvironment.Inline();
        (ImageFormat format, ImageCreateOptions options) = s_formats[name];
        BlockStorage content = await environment.Files.OpenAsync(
            "disk", new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew }, default);
        var file = new StorageNode(new ScriptedStorage(content, script), environment);
        await format.CreateAsync(file, options, default);
        BlockNode image = await format.OpenAsync(file, new FormatOpenContext { NodeName = "disk", Access = NodeAccess.ReadWrite }, default);
        return copiesOnRead ? CopyOnReadNode.Create(image) : image;
    }
}
