using BlockLayer.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Refcounts;

public sealed class RefcountBlockTests
{
    public static TheoryData<int> Orders => [0, 1, 2, 3, 4, 5, 6];

    [Theory]
    [MemberData(nameof(Orders))]
    public void Counts_read_back_and_leave_their_neighbours_alone(int order)
    {
        Random random = new(order + 1);
        byte[] bytes = new byte[512];
        RefcountBlock block = new(bytes, order);
        ulong[] model = new ulong[block.Count];
        Assert.Equal(512 * 8 >> order, block.Count);
        for (int step = 0; step < 20_000; step++)
        {
            int index = random.Next(model.Length);
            ulong value = (ulong)random.NextInt64() & block.Max;
            model[index] = value;
            block[index] = value;
            int other = random.Next(model.Length);
            Assert.Equal(model[other], block[other]);
        }

        for (int i = 0; i < model.Length; i++)
        {
            Assert.Equal(model[i], block[i]);
        }
    }

    // qcow2 spec, "Refcount block entry": big-endian, and bit 0 of a byte first for less than 8 bits.
    [Theory]
    [InlineData(0, 1, 1ul, "02")]
    [InlineData(0, 9, 1ul, "0002")]
    [InlineData(1, 1, 2ul, "08")]
    [InlineData(2, 1, 0xaul, "a0")]
    [InlineData(3, 1, 0xabul, "00ab")]
    [InlineData(4, 0, 0x1234ul, "1234")]
    [InlineData(5, 0, 0x12345678ul, "12345678")]
    [InlineData(6, 0, 0x123456789abcdef0ul, "123456789abcdef0")]
    public void Bytes_are_as_the_specification_says(int order, int index, ulong value, string bytes)
    {
        byte[] block = new byte[16];
        RefcountBlock counts = new(block, order);
        counts[index] = value;
        Assert.StartsWith(bytes, Convert.ToHexStringLower(block), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Orders))]
    public void First_free_and_last_used_are_found(int order)
    {
        byte[] bytes = new byte[512];
        RefcountBlock block = new(bytes, order);
        Assert.Equal((0, -1), (block.IndexOfFree(0), block.LastIndexInUse()));
        bytes.AsSpan().Fill(0xff);
        Assert.Equal((-1, block.Count - 1), (block.IndexOfFree(0), block.LastIndexInUse()));
        for (int hole = 0; hole < block.Count; hole++)
        {
            block[hole] = 0;
            Assert.Equal(hole, block.IndexOfFree(0));
            Assert.Equal(hole, block.IndexOfFree(hole));
            Assert.Equal(-1, block.IndexOfFree(hole + 1));
            block[hole] = block.Max;
        }

        bytes.AsSpan().Clear();
        for (int used = 0; used < block.Count; used++)
        {
            block[used] = 1;
            Assert.Equal(used, block.LastIndexInUse());
        }
    }
}
