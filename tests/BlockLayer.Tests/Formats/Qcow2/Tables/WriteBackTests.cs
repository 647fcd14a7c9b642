using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Storage;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Tables;

/// <summary>In which order a flush writes, and what it leaves out.</summary>
public sealed class WriteBackTests
{
    private const int ClusterSize = 4096;

    [Fact]
    public async Task A_flush_writes_counts_then_entries_then_the_L1_table_each_durable_before_the_next()
    {
        (Qcow2Node node, JournalNode journal) = await OpenAsync();
        await using Qcow2Node disposed = node;
        await node.WriteAsync(0, new byte[ClusterSize]);
        BlockStatus stored = await node.GetStatusAsync(0, 1, StatusDepth.Node);
        long l2 = new L1Entry(await WordAsync(node, node.Header.L1TableOffset.Value)).L2Table.Value;
        Assert.Equal(0, l2); // nothing leads to the new table yet
        journal.Events.Clear();

        await node.FlushAsync();

        l2 = new L1Entry(await WordAsync(node, node.Header.L1TableOffset.Value)).L2Table.Value;
        long block = new RefcountTableEntry(await WordAsync(node, node.Header.RefcountTableOffset.Value)).Block.Value;
        Assert.Equal([block, -1, l2, -1, node.Header.L1TableOffset.Value, -1], journal.Events.Select(at => at < 0 ? at : at / 512 * 512));
        Assert.True(stored.HostOffset > 0);
    }

    [Fact]
    public async Task A_flush_without_changes_of_tables_is_one_sync()
    {
        (Qcow2Node node, JournalNode journal) = await OpenAsync();
        await using Qcow2Node disposed = node;
        await node.WriteAsync(0, new byte[ClusterSize]);
        await node.FlushAsync();
        await node.WriteAsync(100, new byte[50]);
        journal.Events.Clear();

        await node.FlushAsync();

        Assert.Equal([-1], journal.Events);
    }

    [Fact]
    public async Task A_mapping_that_is_published_during_a_flush_is_left_to_the_next_one()
    {
        (Qcow2Node node, JournalNode journal) = await OpenAsync();
        await using Qcow2Node disposed = node;
        await node.WriteAsync(0, new byte[ClusterSize]);
        await node.FlushAsync();
        await node.WriteAsync(ClusterSize, new byte[ClusterSize]);
        long l2 = new L1Entry(await WordAsync(node, node.Header.L1TableOffset.Value)).L2Table.Value;
        journal.AtNextFlush = async () => await node.WriteAsync(2 * ClusterSize, new byte[ClusterSize]);

        await node.FlushAsync();

        Assert.NotEqual(0UL, await WordAsync(node, l2 + 8));
        Assert.Equal(0UL, await WordAsync(node, l2 + 16));
        await node.FlushAsync();
        Assert.NotEqual(0UL, await WordAsync(node, l2 + 16));
    }

    private static async ValueTask<(Qcow2Node Node, JournalNode Journal)> OpenAsync()
    {
        var world = new TestWorld();
        await world.CreateAsync("disk", new Qcow2CreateOptions { Length = 64 * ClusterSize, ClusterSize = ClusterSize });
        var journal = new JournalNode(await world.OpenFileAsync("disk"));
        var context = new FormatOpenContext { NodeName = "disk", Access = NodeAccess.ReadWrite };
        return ((Qcow2Node)await Qcow2Format.Instance.OpenAsync(journal, context, CancellationToken.None), journal);
    }

    private static async ValueTask<ulong> WordAsync(Qcow2Node node, long at)
    {
        byte[] bytes = new byte[8];
        await node.File.ReadAsync(at, bytes);
        return System.Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian(bytes);
    }

    /// <summary>A file that notes where it is written, and its flushes as -1.</summary>
    private sealed class JournalNode(BlockNode file) : FilterNode("journal", file, ImagePermissions.All, ImagePermissions.All)
    {
        public override string DriverName => "journal";

        internal List<long> Events { get; } = [];

        /// <summary>Runs once, when a flush has just begun.</summary>
        internal Func<Task>? AtNextFlush { get; set; }

        private protected override ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
        {
            Events.Add(offset);
            return base.WriteCoreAsync(offset, buffer, flags, cancellationToken);
        }

        private protected override async ValueTask FlushCoreAsync(CancellationToken cancellationToken)
        {
            Events.Add(-1);
            if (AtNextFlush is { } action)
            {
                AtNextFlush = null;
                await action();
            }

            await base.FlushCoreAsync(cancellationToken);
        }
    }
}
