using System.Collections;
using BlockLayer.Formats.Qed;
using Xunit;

namespace BlockLayer.Tests.Formats.Qed.Tables;

public sealed class L2SliceTests
{
    private const int ClusterBits = 12;

    [Fact]
    public void A_run_is_contiguous_data_or_equal_entries_and_ends_at_an_entry_that_cannot_be_followed()
    {
        ulong[] entries = new ulong[512];
        entries[0] = 0x5000;
        entries[1] = 0x6000;
        entries[2] = 0x9000;
        entries[3] = 1;
        entries[4] = 1;
        entries[6] = 77;
        var bad = new BitArray(512) { [6] = true };
        var slice = new L2Slice(0, new HostOffset(0x1000), entries, bad);

        Assert.Equal((2, ClusterKind.Data), Run(slice, 0, 512));
        Assert.Equal((1, ClusterKind.Data), Run(slice, 0, 1));
        Assert.Equal((1, ClusterKind.Data), Run(slice, 2, 512));
        Assert.Equal((2, ClusterKind.Zero), Run(slice, 3, 512));
        Assert.Equal((1, ClusterKind.Unallocated), Run(slice, 5, 512));
        Assert.Equal(0, slice.FindRun(6, 512, ClusterBits, out _));
        Assert.Equal((505, ClusterKind.Unallocated), Run(slice, 7, 512));
    }

    [Fact]
    public void Only_the_sectors_that_changed_are_written_neighbours_together()
    {
        var slice = new L2Slice(0, new HostOffset(0x100000), new ulong[4096], bad: null);
        foreach (int index in new[] { 0, 63, 64, 4095 })
        {
            slice.PublishLocked(index, L2Entry.Zero);
        }

        var writes = new List<TableWrite>();
        ulong taken = slice.TakeDirtyLocked(writes);

        Assert.Equal(0b11UL | (1UL << 63), taken);
        Assert.Equal([(0x100000L, 1024), (0x107e00L, 512)], writes.Select(write => (write.Host.Value, write.Bytes.Length)));
        Assert.Equal(1, writes[0].Bytes[63 * 8]);
        Assert.False(slice.IsDirtyLocked);
        slice.MarkDirtyLocked(taken);
        Assert.Equal(taken, slice.TakeDirtyLocked([]));
    }

    [Fact]
    public void A_slice_that_changed_everywhere_is_one_write()
    {
        var slice = new L2Slice(0, new HostOffset(0x100000), new ulong[4096], bad: null);
        for (int i = 0; i < 4096; i++)
        {
            slice.PublishLocked(i, L2Entry.Data(new HostOffset((i + 9L) << ClusterBits)));
        }

        var writes = new List<TableWrite>();
        slice.TakeDirtyLocked(writes);
        TableWrite write = Assert.Single(writes);
        Assert.Equal(32768, write.Bytes.Length);
        Assert.Equal(9UL << ClusterBits, BitConverter.ToUInt64(write.Bytes));
    }

    private static (int Count, ClusterKind Kind) Run(L2Slice slice, int first, int limit)
        => (slice.FindRun(first, limit, ClusterBits, out L2Entry entry), entry.Kind);
}
