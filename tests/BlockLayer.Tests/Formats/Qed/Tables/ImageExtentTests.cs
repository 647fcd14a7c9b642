using BlockLayer.Formats.Qed;
using Xunit;

namespace BlockLayer.Tests.Formats.Qed.Tables;

public sealed class ImageExtentTests
{
    // header 1 cluster, L1 table clusters 1-2, L2 table clusters 4-5, file ends in the middle of cluster 9
    private static ImageExtent Make()
    {
        var header = new QedHeader { ClusterSize = 4096, TableSize = 2, HeaderSize = 1, L1TableOffset = 4096, ImageSize = 1 << 20 };
        var extent = new ImageExtent(header, (9 * 4096) + 100);
        extent.SetTables([4 * 4096]);
        return extent;
    }

    [Theory]
    [InlineData(3 * 4096, OffsetFault.None)]
    [InlineData(6 * 4096, OffsetFault.None)]
    [InlineData(8 * 4096, OffsetFault.None)]
    [InlineData(9 * 4096, OffsetFault.PastEnd)]
    [InlineData(2, OffsetFault.Misaligned)]
    [InlineData((3 * 4096) + 512, OffsetFault.Misaligned)]
    [InlineData(0, OffsetFault.InHeader)]
    [InlineData(4096, OffsetFault.InTable)]
    [InlineData(2 * 4096, OffsetFault.InTable)]
    [InlineData(4 * 4096, OffsetFault.InTable)]
    [InlineData(5 * 4096, OffsetFault.InTable)]
    [InlineData(0x7ffffffffffff000, OffsetFault.PastEnd)]
    [InlineData(0xfffffffffffff000, OffsetFault.PastEnd)]
    public void A_data_cluster_lies_in_the_file_and_in_no_table(ulong offset, object expected)
        => Assert.Equal(expected, Make().JudgeCluster(offset));

    [Theory]
    [InlineData(3 * 4096, OffsetFault.None)]
    [InlineData(7 * 4096, OffsetFault.None)]
    [InlineData(8 * 4096, OffsetFault.PastEnd)]
    [InlineData(2 * 4096, OffsetFault.InTable)]
    [InlineData(0xfffffffffffff000, OffsetFault.PastEnd)]
    public void A_table_lies_wholly_in_the_file_and_not_in_the_L1_table(ulong offset, object expected)
        => Assert.Equal(expected, Make().JudgeTable(offset));
}
