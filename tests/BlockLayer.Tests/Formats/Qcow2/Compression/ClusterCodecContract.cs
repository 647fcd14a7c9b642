using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Compression;

/// <summary>What every codec keeps, whatever it is made of.</summary>
public abstract class ClusterCodecContract
{
    private static readonly HostOffset s_at = new(0x12345);

    public static TheoryData<string, int> Contents
    {
        get
        {
            TheoryData<string, int> data = [];
            foreach (string content in (string[])["zeroes", "one byte repeated", "text", "words", "far repetitions", "mixed", "every byte"])
            {
                foreach (int clusterBits in (int[])[9, 12, 16, 21])
                {
                    data.Add(content, 1 << clusterBits);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Contents))]
    public void Cluster_comes_back_from_the_sectors_it_was_stored_in(string content, int size)
    {
        byte[] cluster = Content(content, size);
        byte[] stream = new byte[size - 1];
        Assert.True(Codec().TryCompress(cluster, stream, out int length), "the content is compressible");
        Assert.InRange(length, 1, stream.Length);

        // Behind the stream the last sector holds what was there before, perhaps another stream.
        byte[] sectors = new byte[(length + 511) / 512 * 512 + 512];
        Array.Fill(sectors, (byte)0xa5);
        stream.AsSpan(0, length).CopyTo(sectors);
        foreach (int readLength in (int[])[length, sectors.Length])
        {
            byte[] read = new byte[size];
            Codec().Decompress(sectors.AsSpan(0, readLength), read, s_at);
            Assert.Equal(cluster, read);
        }
    }

    [Theory]
    [InlineData(512)]
    [InlineData(65536)]
    public void Content_without_pattern_does_not_fit(int size)
    {
        byte[] cluster = new byte[size];
        new Random(7).NextBytes(cluster);
        Assert.False(Codec().TryCompress(cluster, new byte[size - 1], out _));
    }

    [Fact]
    public void Stream_that_goes_on_behind_the_cluster_is_cut_off()
    {
        byte[] twice = Content("text", 8192);
        byte[] stream = new byte[8191];
        Assert.True(Codec().TryCompress(twice, stream, out int length));
        byte[] cluster = new byte[4096];
        Codec().Decompress(stream.AsSpan(0, length), cluster, s_at);
        Assert.Equal(twice[..4096], cluster);
    }

    [Fact]
    public void Stream_that_ends_early_is_corrupt_and_says_by_how_much()
    {
        byte[] half = Content("text", 2048);
        byte[] stream = new byte[2047];
        Assert.True(Codec().TryCompress(half, stream, out int length));
        var error = Assert.Throws<ImageFormatException>(() => Codec().Decompress(stream.AsSpan(0, length), new byte[4096], s_at));
        Assert.Equal(
            (BlockErrorKind.Corrupt, 0x12345L, "compressed cluster at byte 74565 ends 2048 bytes before the cluster is full."),
            (error.Kind, error.Offset, error.Message));
    }

    [Fact]
    public void Truncated_stream_is_corrupt()
    {
        byte[] cluster = Content("mixed", 4096);
        byte[] stream = new byte[4095];
        Assert.True(Codec().TryCompress(cluster, stream, out int length));
        for (int cut = 0; cut < length - 8; cut += 7)
        {
            var error = Assert.Throws<ImageFormatException>(() => Codec().Decompress(stream.AsSpan(0, cut), new byte[4096], s_at));
            Assert.Equal(BlockErrorKind.Corrupt, error.Kind);
        }
    }

    [Fact]
    public void Damaged_stream_gives_a_full_cluster_or_a_typed_error()
    {
        byte[] cluster = Content("mixed", 4096);
        byte[] stream = new byte[4095];
        Assert.True(Codec().TryCompress(cluster, stream, out int length));
        Random random = new(11);
        int refused = 0;
        for (int round = 0; round < 2000; round++)
        {
            byte[] damaged = stream.AsSpan(0, length).ToArray();
            for (int flips = random.Next(1, 4); flips > 0; flips--)
            {
                damaged[random.Next(length)] ^= (byte)(1 << random.Next(8));
            }

            if (Record.Exception(() => Codec().Decompress(damaged, new byte[4096], s_at)) is { } error)
            {
                Assert.Equal(BlockErrorKind.Corrupt, Assert.IsType<ImageFormatException>(error).Kind);
                refused++;
            }
        }

        Assert.NotEqual(0, refused);
    }

    [Fact]
    public void Empty_stream_is_corrupt()
        => Assert.Equal(BlockErrorKind.Corrupt, Assert.Throws<ImageFormatException>(() => Codec().Decompress([], new byte[512], s_at)).Kind);

    /// <summary>The codec under test; skips the test where the machine has none.</summary>
    internal abstract IClusterCodec Codec();

    /// <summary>Compressible content of several kinds.</summary>
    internal static byte[] Content(string kind, int size)
    {
        byte[] bytes = new byte[size];
        Random random = new(size + kind.Length);
        string[] words = ["cluster ", "sector ", "guest ", "host ", "backing file\n", "refcount ", "0123456789 "];
        for (int at = 0; at < size;)
        {
            switch (kind)
            {
                case "zeroes":
                    at = size;
                    break;
                case "one byte repeated":
                    bytes[at++] = 0x5a;
                    break;
                case "text":
                    bytes[at] = (byte)"The quick brown fox jumps over the lazy dog. "[at++ % 45];
                    break;
                case "words":
                    foreach (char c in words[random.Next(words.Length)])
                    {
                        if (at < size)
                        {
                            bytes[at++] = (byte)c;
                        }
                    }

                    break;
                case "far repetitions":
                    // Noise of 4096 bytes, then copies from exactly that far back; in small clusters from nearer.
                    int period = Math.Min(4096, size / 4);
                    bytes[at] = at < period ? (byte)random.Next(256) : bytes[at - period];
                    at++;
                    break;
                case "mixed":
                    bytes[at] = (byte)(at / 64 % 3 == 0 ? random.Next(256) : at / 64 % 3 == 1 ? 0 : at % 16);
                    at++;
                    break;
                default:
                    bytes[at] = (byte)(at / 16);
                    at++;
                    break;
            }
        }

        return bytes;
    }
}
