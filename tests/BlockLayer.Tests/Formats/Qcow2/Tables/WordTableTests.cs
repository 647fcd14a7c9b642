using System.Buffers.Binary;
using BlockLayer.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Tables;

public sealed class WordTableTests
{
    [Fact]
    public void A_change_makes_its_sector_dirty_and_no_other()
    {
        var table = new WordTable(new HostOffset(8192), new ulong[200]);
        Assert.False(table.IsDirty);
        table[70] = 5;

        TableWrite write = Assert.Single(Capture(table));

        Assert.Equal(8192 + 512, write.At.Value);
        Assert.Equal(512, write.Bytes.Length);
        Assert.Equal(5UL, BinaryPrimitives.ReadUInt64BigEndian(write.Bytes.Span[(6 * 8)..]));
    }

    [Fact]
    public void The_last_sector_ends_with_the_table()
    {
        var table = new WordTable(default, new ulong[70]);
        table[69] = 1;
        Assert.Equal(6 * 8, Assert.Single(Capture(table)).Bytes.Length);
    }

    [Fact]
    public void What_changed_since_the_copy_stays_dirty()
    {
        var table = new WordTable(default, new ulong[200]);
        table[0] = 1;
        table[100] = 1;
        List<TableWrite> writes = Capture(table);
        table[1] = 2;

        foreach (TableWrite write in writes)
        {
            table.Written(write.Key, write.Version);
        }

        TableWrite left = Assert.Single(Capture(table));
        Assert.Equal(0, left.At.Value);
        table.Written(left.Key, left.Version);
        Assert.False(table.IsDirty);
    }

    private static List<TableWrite> Capture(WordTable table)
    {
        List<TableWrite> writes = [];
        table.Capture(writes);
        return writes;
    }
}
