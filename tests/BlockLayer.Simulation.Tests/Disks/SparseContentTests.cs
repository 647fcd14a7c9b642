using Xunit;

namespace BlockLayer.Simulation.Tests.Disks;

public class SparseContentTests
{
    [Fact]
    public void Random_operations_on_forks_equal_byte_arrays()
    {
        const int Size = 1 << 19; // 128 pages: two levels
        for (ulong seed = 0; seed < 10; seed++)
        {
            var random = new SeededRandom(seed);
            var twins = new List<(SparseContent Content, byte[] Bytes)> { (new SparseContent(), []) };
            for (int step = 0; step < 200; step++)
            {
                int index = random.Next(twins.Count);
                (SparseContent content, byte[] bytes) = twins[index];
                int offset = random.Next(Size);
                int length = random.Next(random.Chance(0.2) ? Size : 9000);
                switch (random.Next(5))
                {
                    case 0 when twins.Count < 6:
                        twins.Add((content.Fork(), (byte[])bytes.Clone()));
                        break;
                    case 1:
                        content.SetLength(offset);
                        Array.Resize(ref bytes, offset);
                        break;
                    case 2:
                        length = Math.Clamp(length, 0, Math.Max(0, bytes.Length - offset));
                        content.Clear(offset, length);
                        bytes.AsSpan(Math.Min(offset, bytes.Length), length).Clear();
                        break;
                    default:
                        byte[] data = new byte[length];
                        random.Fill(data);
                        if (random.Chance(0.5))
                        {
                            content.Write(offset, data);
                        }
                        else
                        {
                            var shared = new SparseContent.SharedData(offset, data);
                            content.Write(shared);
                            twins[random.Next(twins.Count)].Content.Fork().Write(shared); // another holder of the same pages
                        }

                        Array.Resize(ref bytes, Math.Max(bytes.Length, offset + length));
                        data.CopyTo(bytes, offset);
                        break;
                }

                twins[index] = (content, bytes);
            }

            foreach ((SparseContent content, byte[] bytes) in twins)
            {
                Assert.Equal(bytes.Length, content.Length);
                byte[] read = new byte[content.Length + 5000];
                content.Read(0, read);
                Assert.True(read.AsSpan(0, bytes.Length).SequenceEqual(bytes), $"seed {seed}");
                Assert.True(read.AsSpan(bytes.Length).IndexOfAnyExcept((byte)0) < 0, $"seed {seed}");
            }
        }
    }

    [Fact]
    public void Far_ends_cost_one_page_each_and_holes_are_found()
    {
        const long Far = 1L << 60;
        var content = new SparseContent();
        content.Write(Far, [1]);
        content.Write(10, [2]);
        Assert.Equal(Far + 1, content.Length);
        Assert.Equal(2 * SparseContent.PageSize, content.AllocatedBytes);
        Assert.Equal(10, content.FindData(10));
        Assert.Equal(SparseContent.PageSize, content.FindHole(10, Far));
        Assert.Equal(Far, content.FindData(SparseContent.PageSize));
        Assert.Equal(long.MaxValue, content.FindData(Far + SparseContent.PageSize));
        content.Clear(0, Far);
        Assert.Equal(SparseContent.PageSize, content.AllocatedBytes);
        Assert.Equal(Far, content.FindData(0));
        content.SetLength(0);
        Assert.Equal(0, content.AllocatedBytes);
    }
}
