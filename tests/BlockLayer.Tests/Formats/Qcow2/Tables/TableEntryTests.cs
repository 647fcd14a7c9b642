using BlockLayer.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Tables;

public sealed class TableEntryTests
{
    private const long FileLength = 1 << 30;
    private static readonly ClusterGeometry s_standard = new(16, 4, L2EntryFormat.Standard);
    private static readonly ClusterGeometry s_extended = new(16, 4, L2EntryFormat.Extended);

    [Theory]
    [InlineData(0x0000_0000_0000_0000, ClusterKind.Unallocated)]
    [InlineData(0x0000_0000_0000_0001, ClusterKind.ZeroPlain)]
    [InlineData(0x8000_0000_0005_0001, ClusterKind.ZeroAllocated)]
    [InlineData(0x0000_0000_0005_0000, ClusterKind.Data)]
    [InlineData(0x8000_0000_0005_0000, ClusterKind.Data)]
    [InlineData(0x4000_0000_0005_0001, ClusterKind.Compressed)]
    internal void Kind_follows_from_flags_and_offset(ulong raw, ClusterKind kind)
        => Assert.Equal(kind, new L2Entry(raw).Kind);

    [Theory]
    [InlineData(0x8000_0000_0005_0000, 3, EntryFault.None)]
    [InlineData(0x8000_0000_0005_0200, 3, EntryFault.Unaligned)]
    [InlineData(0x8000_0000_4000_0000, 3, EntryFault.PastEnd)]
    [InlineData(0x80ff_ffff_ffff_0000, 3, EntryFault.PastEnd)]
    [InlineData(0x8100_0000_0005_0000, 3, EntryFault.ReservedBits)]
    [InlineData(0xa000_0000_0005_0000, 3, EntryFault.ReservedBits)]
    [InlineData(0x8000_0000_0005_0002, 3, EntryFault.ReservedBits)]
    [InlineData(0x0000_0000_0000_0100, 3, EntryFault.ReservedBits)]
    [InlineData(0x0000_0000_0000_0001, 3, EntryFault.None)]
    [InlineData(0x0000_0000_0000_0001, 2, EntryFault.ZeroInVersion2)]
    [InlineData(0x0000_0000_0000_0201, 3, EntryFault.Unaligned)]
    [InlineData(0x4000_0000_0005_0123, 2, EntryFault.None)]
    [InlineData(0x4000_0000_4000_0000, 3, EntryFault.PastEnd)]
    [InlineData(0x4000_0000_0000_0100, 3, EntryFault.InHeader)]
    internal void L2_entry_is_judged(ulong raw, int version, EntryFault fault)
        => Assert.Equal(fault, new L2Entry(raw).Validate(s_standard, version, FileLength));

    [Theory]
    [InlineData(0x0000_0000_0000_0000, EntryFault.None)]
    [InlineData(0x8000_0000_0005_0000, EntryFault.None)]
    [InlineData(0x8000_0000_0005_0200, EntryFault.Unaligned)]
    [InlineData(0x8000_0000_4000_0000, EntryFault.PastEnd)]
    [InlineData(0x8000_0000_0005_0001, EntryFault.ReservedBits)]
    [InlineData(0x0100_0000_0000_0000, EntryFault.ReservedBits)]
    internal void L1_entry_is_judged(ulong raw, EntryFault fault)
        => Assert.Equal(fault, new L1Entry(raw).Validate(s_standard, FileLength));

    [Theory]
    [InlineData(0x0000_0000_0000_0000, EntryFault.None)]
    [InlineData(0x0000_0000_0005_0000, EntryFault.None)]
    [InlineData(0x0000_0000_0005_0200, EntryFault.Unaligned)]
    [InlineData(0x0000_0000_4000_0000, EntryFault.PastEnd)]
    [InlineData(0x8000_0000_0000_0000, EntryFault.PastEnd)]
    [InlineData(0x0000_0000_0005_0001, EntryFault.ReservedBits)]
    internal void Refcount_table_entry_is_judged(ulong raw, EntryFault fault)
        => Assert.Equal(fault, new RefcountTableEntry(raw).Validate(s_standard, FileLength));

    [Theory]
    [InlineData(0x8000_0000_0005_0000, 0x0000_0000_ffff_ffff, EntryFault.None)]
    [InlineData(0x8000_0000_0005_0000, 0xffff_0000_0000_ffff, EntryFault.None)]
    [InlineData(0x8000_0000_0005_0000, 0x0000_0001_0000_0001, EntryFault.SubclusterConflict)]
    [InlineData(0x0000_0000_0000_0000, 0x0000_0000_0000_0001, EntryFault.SubclusterWithoutCluster)]
    [InlineData(0x0000_0000_0000_0000, 0xffff_ffff_0000_0000, EntryFault.None)]
    [InlineData(0x8000_0000_0005_0001, 0x0000_0000_ffff_ffff, EntryFault.ReservedBits)]
    [InlineData(0x4000_0000_0005_0001, 0x0000_0000_0000_0000, EntryFault.None)]
    [InlineData(0x4000_0000_0005_0001, 0x0000_0000_0000_0001, EntryFault.ReservedBits)]
    internal void Extended_entry_is_judged_by_both_words(ulong raw, ulong subclusters, EntryFault fault)
        => Assert.Equal(fault, new ExtendedL2Entry(new(raw), subclusters).Validate(s_extended, 3, FileLength));

    [Fact]
    public void Subclusters_count_from_the_least_significant_bit()
    {
        ExtendedL2Entry entry = new(L2Entry.ForData(new(0x50000)), 0x8000_0000_0000_0001);
        Assert.Equal(
            [ClusterKind.Data, ClusterKind.Unallocated, ClusterKind.ZeroAllocated],
            [entry.KindOf(0), entry.KindOf(1), entry.KindOf(31)]);
    }

    [Fact]
    public void Factories_make_what_the_accessors_read()
    {
        HostOffset host = new(0x00ab_cdef_1234_0000);
        L2Entry data = L2Entry.ForData(host);
        Assert.Equal((host, true, ClusterKind.Data), (data.HostOffset, data.IsCopied, data.Kind));
        Assert.Equal((host, false), (data.WithCopied(false).HostOffset, data.WithCopied(false).IsCopied));
        Assert.Equal((host, ClusterKind.ZeroAllocated), (L2Entry.ForZeroAllocated(host).HostOffset, L2Entry.ForZeroAllocated(host).Kind));
        Assert.Equal((host, true), (L1Entry.ForTable(host).L2Table, L1Entry.ForTable(host).IsCopied));
        Assert.Equal(host, RefcountTableEntry.ForBlock(host).Block);
    }

    [Fact]
    public void Fatal_fault_says_which_entry_it_is_about()
        => Assert.Equal(
            "L2 table entry 0x0000000000050200 at byte 4096 points inside a cluster; a multiple of the cluster size is allowed.",
            EntryFault.Unaligned.ToException("L2 table entry", 0x50200, new(4096)).Message);
}
