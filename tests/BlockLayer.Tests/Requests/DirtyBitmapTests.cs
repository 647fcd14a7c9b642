using BlockLayer.Primitives;
using BlockLayer.Requests;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Requests;

public sealed class DirtyBitmapTests
{
    // Beside a bool for every unit, over lengths that end inside a unit, a word, a chunk of 32768 bits, and behind several chunks.
    [Fact]
    public void Whatever_is_done_to_it_it_shows_what_an_array_of_flags_shows() => Seeds.Check(
        $"{nameof(DirtyBitmapTests)}.{nameof(Whatever_is_done_to_it_it_shows_what_an_array_of_flags_shows)}",
        40,
        static seed =>
        {
            var random = new Random((int)seed);
            int bits = random.Next(9, 13);
            long length = random.NextInt64(1, seed % 4 == 0 ? 100_000L << bits : 300L << bits);
            var bitmap = new DirtyBitmap(length, bits);
            var model = new Model(length, bits);
            for (int step = 0; step < 60; step++)
            {
                long offset = random.NextInt64(length + 1);
                long size = random.NextInt64(random.Next(2) == 0 ? Math.Min(length, 4L << bits) + 1 : length + 1);
                switch (random.Next(10))
                {
                    case < 5:
                        bitmap.Set(offset, size);
                        model.Set(offset, size, dirty: true);
                        break;
                    case < 8:
                        bitmap.Clear(offset, size);
                        model.Set(offset, size, dirty: false);
                        break;
                    case 8:
                        long other = random.NextInt64(1, length * 2);
                        bitmap.Resize(other);
                        model.Resize(other);
                        length = other;
                        break;
                    default:
                        DirtyBitmap source = bitmap;
                        bitmap = new DirtyBitmap(length, bits);
                        bitmap.ImportBits(0, Export(source));
                        break;
                }

                model.AssertSame(bitmap);
            }
        });

    [Theory]
    [InlineData(12, 9)]
    [InlineData(9, 12)]
    [InlineData(16, 16)]
    public void Merging_shows_all_of_both_whatever_their_granularities(int targetBits, int sourceBits)
    {
        const int Length = (3 << 20) + 700;
        var target = new DirtyBitmap(Length, targetBits);
        var source = new DirtyBitmap(Length, sourceBits);
        target.Set(1 << 20, 5000);
        source.Set(70_000, 1);
        source.Set(Length - 1, 1);

        target.Merge(source);

        var expected = new Model(Length, targetBits);
        expected.Set(1 << 20, 5000, dirty: true);
        foreach (ByteRange range in source.DirtyRanges())
        {
            expected.Set(range.Offset, range.Length, dirty: true);
        }

        expected.AssertSame(target);
    }

    [Fact]
    public void A_bitmap_of_the_largest_disk_costs_what_is_set_in_it()
    {
        const int Bits = 30;
        const long Length = DirtyBitmap.MaxBits << Bits;
        var bitmap = new DirtyBitmap(Length, Bits);
        Assert.True(bitmap.IsEmpty);
        Assert.InRange(Enumerable.Range(0, 5).Min(_ => AllocatedBy(() => new DirtyBitmap(Length, Bits))), 0, 1024);

        long before = GC.GetAllocatedBytesForCurrentThread();
        bitmap.Set(0, Length);
        bitmap.Clear(Length / 2, 1L << Bits);

        Assert.Equal(Length - (1L << Bits), bitmap.CountDirtyBytes());
        Assert.Equal([new ByteRange(0, Length / 2), new ByteRange((Length / 2) + (1L << Bits), (Length / 2) - (1L << Bits))], bitmap.DirtyRanges());
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 2 << 20);
    }

    [Fact]
    public void More_bits_than_there_may_be_are_refused()
    {
        ArgumentException error = Assert.Throws<ArgumentException>(() => new DirtyBitmap((DirtyBitmap.MaxBits << 9) + 1, 9));
        Assert.Equal("A bitmap over 2199023255553 bytes with a granularity of 512 has more than 4294967296 bits; choose a larger granularity.", error.Message);
    }

    [Fact]
    public async Task Bits_that_many_threads_set_are_all_there()
    {
        const int Threads = 4;
        const int Units = 200_000;
        var bitmap = new DirtyBitmap(Units * 512L, 9);
        await Task.WhenAll(Enumerable.Range(0, Threads).Select(thread => Task.Run(() =>
        {
            for (int unit = thread; unit < Units; unit += Threads)
            {
                bitmap.Set(unit * 512L, 1);
            }
        })));
        Assert.Equal([new ByteRange(0, Units * 512L)], bitmap.DirtyRanges());
    }

    // A reader takes a run, clears it and reads; a writer writes and marks. At the end whatever the reader read too early is dirty.
    [Fact]
    public async Task Nobody_who_clears_before_he_reads_misses_a_write()
    {
        const int Units = 64;
        const int Rounds = 20_000;
        int[] disk = new int[Units];
        int[] copy = new int[Units];
        var bitmap = new DirtyBitmap(Units * 512L, 9);
        Task writer = Task.Run(() =>
        {
            for (int i = 1; i <= Rounds; i++)
            {
                int unit = i * 7 % Units;
                bitmap.Set(unit * 512L, 512);
                disk[unit] = i; // plain on purpose: marking afterwards is what orders it
                bitmap.Set(unit * 512L, 512);
            }
        });
        while (!writer.IsCompleted)
        {
            CopyDirty();
        }

        await writer;
        CopyDirty();
        Assert.Equal(disk, copy);

        void CopyDirty()
        {
            foreach (ByteRange range in bitmap.DirtyRanges())
            {
                bitmap.Clear(range.Offset, range.Length);
                for (long unit = range.Offset / 512; unit < range.End / 512; unit++)
                {
                    copy[unit] = Volatile.Read(ref disk[unit]);
                }
            }
        }
    }

    private static byte[] Export(DirtyBitmap bitmap)
    {
        byte[] bytes = new byte[Alignment.RoundUp((bitmap.BitCount + 7) / 8, 512)];
        bitmap.ExportBits(0, bytes);
        for (long bit = bitmap.BitCount; bit < bytes.Length * 8L; bit++)
        {
            Assert.Equal(0, bytes[bit / 8] >> (int)(bit % 8) & 1); // qcow2 spec, "Bitmap data": unused tail bits must be zero
        }

        return bytes;
    }

    /// <summary>The naive twin.</summary>
    private sealed class Model(long length, int bits)
    {
        private bool[] _units = new bool[(length + (1L << bits) - 1) >> bits];
        private long _length = length;

        internal void Set(long offset, long size, bool dirty)
        {
            long end = Math.Min(_length, offset + size);
            for (long unit = offset >> bits; unit < _units.Length && unit << bits < end && offset < end; unit++)
            {
                bool isWhole = unit << bits >= offset && Math.Min((unit + 1) << bits, _length) <= end;
                if (dirty || isWhole)
                {
                    _units[unit] = dirty;
                }
            }
        }

        internal void Resize(long length)
        {
            Array.Resize(ref _units, (int)((length + (1L << bits) - 1) >> bits));
            _length = length;
        }

        internal void AssertSame(DirtyBitmap bitmap)
        {
            var expected = new List<ByteRange>();
            for (int unit = 0; unit < _units.Length; unit++)
            {
                if (_units[unit])
                {
                    long start = (long)unit << bits;
                    long end = Math.Min(start + (1L << bits), _length);
                    bool continues = expected.Count > 0 && expected[^1].End == start;
                    ByteRange run = continues ? new ByteRange(expected[^1].Offset, end - expected[^1].Offset) : new ByteRange(start, end - start);
                    if (continues)
                    {
                        expected[^1] = run;
                    }
                    else
                    {
                        expected.Add(run);
                    }
                }
            }

            Assert.Equal(expected, bitmap.DirtyRanges());
            Assert.Equal(expected.Sum(static run => run.Length), bitmap.CountDirtyBytes());
        }
    }

    // A collection in between drops the rest of the thread's allocation block, which then counts; so callers take the least of a few.
    private static long AllocatedBy(Func<DirtyBitmap> make)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        GC.KeepAlive(make());
        return GC.GetAllocatedBytesForCurrentThread() - before;
    }
}
