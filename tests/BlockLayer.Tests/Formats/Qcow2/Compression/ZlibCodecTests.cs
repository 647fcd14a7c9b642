using System.IO.Compression;
using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Compression;

public sealed class NativeZlibCodecTests : ClusterCodecContract
{
    internal override IClusterCodec Codec()
    {
        IClusterCodec? codec = NativeZlibCodec.TryLoad();
        Assert.SkipWhen(codec is null, "this runtime does not export its zlib");
        return codec;
    }
}

public sealed class ManagedZlibCodecTests : ClusterCodecContract
{
    internal override IClusterCodec Codec() => new ManagedZlibCodec();
}

public sealed class ZlibCodecTests
{
    private static readonly IClusterCodec s_managed = new ManagedZlibCodec();

    public static TheoryData<bool> BothCodecs => [true, false];

    public static TheoryData<string, int> Contents => ClusterCodecContract.Contents;

    [Fact]
    public void Runtime_that_runs_the_tests_exports_its_zlib()
        => Assert.IsType<NativeZlibCodec>(ClusterCodecs.Zlib);

    [Theory]
    [MemberData(nameof(Contents))]
    public void Both_codecs_read_what_both_write(string content, int size)
    {
        byte[] cluster = ClusterCodecContract.Content(content, size);
        foreach (IClusterCodec writer in (IClusterCodec[])[ClusterCodecs.Zlib, s_managed])
        {
            byte[] stream = new byte[size - 1];
            Assert.True(writer.TryCompress(cluster, stream, out int length));
            foreach (IClusterCodec reader in (IClusterCodec[])[ClusterCodecs.Zlib, s_managed])
            {
                byte[] read = new byte[size];
                reader.Decompress(stream.AsSpan(0, length), read, new(0));
                Assert.Equal(cluster, read);
            }
        }
    }

    // QEMU inflates with a window of 4 KiB: a reference further back is an error there.
    [Theory]
    [MemberData(nameof(BothCodecs))]
    public void Repetition_further_back_than_4_KiB_is_not_referred_to(bool native)
    {
        byte[] cluster = new byte[65536];
        Random random = new(3);
        random.NextBytes(cluster.AsSpan(0, 4097));
        for (int at = 4097; at < cluster.Length; at++)
        {
            cluster[at] = cluster[at - 4097];
        }

        IClusterCodec codec = native ? ClusterCodecs.Zlib : s_managed;
        Assert.False(codec.TryCompress(cluster, new byte[32768], out _));
    }

    [Theory]
    [MemberData(nameof(Contents))]
    public void Managed_encoder_comes_near_the_native_one(string content, int size)
    {
        byte[] cluster = ClusterCodecContract.Content(content, size);
        byte[] stream = new byte[size - 1];
        Assert.True(ClusterCodecs.Zlib.TryCompress(cluster, stream, out int native));
        Assert.True(s_managed.TryCompress(cluster, stream, out int managed));
        Assert.InRange(managed, 1, native + native / 10 + 32);
    }

    [Theory]
    [MemberData(nameof(BothCodecs))]
    public void Stream_with_a_window_of_32_KiB_is_read(bool native)
    {
        byte[] cluster = new byte[65536];
        new Random(5).NextBytes(cluster.AsSpan(0, 32768));
        cluster.AsSpan(0, 32768).CopyTo(cluster.AsSpan(32768));
        using MemoryStream stream = new();
        using (DeflateStream deflate = new(stream, CompressionLevel.Optimal, leaveOpen: true))
        {
            deflate.Write(cluster);
        }

        byte[] read = new byte[cluster.Length];
        (native ? ClusterCodecs.Zlib : s_managed).Decompress(stream.ToArray(), read, new(0));
        Assert.Equal(cluster, read);
    }

    [Theory]
    [MemberData(nameof(BothCodecs))]
    public void Garbage_is_named_as_such(bool native)
    {
        var error = Assert.Throws<ImageFormatException>(
            () => (native ? ClusterCodecs.Zlib : s_managed).Decompress([0xff, 0xff, 0xff, 0xff], new byte[512], new(512)));
        Assert.Equal("compressed cluster at byte 512 is not a deflate stream.", error.Message);
    }

    [Fact]
    public void Managed_encoder_is_right_about_random_mixtures_of_every_size()
    {
        Random random = new(17);
        for (int round = 0; round < 300; round++)
        {
            byte[] cluster = new byte[random.Next(1, 20_000)];
            for (int at = 0; at < cluster.Length;)
            {
                int run = Math.Min(random.Next(1, 700), cluster.Length - at);
                int alphabet = 1 << random.Next(9);
                int back = random.Next(1, 5000);
                bool copy = random.Next(2) == 0 && back <= at;
                for (int end = at + run; at < end; at++)
                {
                    cluster[at] = copy ? cluster[at - back] : (byte)random.Next(alphabet);
                }
            }

            byte[] stream = new byte[cluster.Length + 64];
            Assert.True(s_managed.TryCompress(cluster, stream, out int length), $"round {round}: stored blocks always fit here");
            byte[] read = new byte[cluster.Length];
            s_managed.Decompress(stream.AsSpan(0, length), read, new(0));
            Assert.Equal(cluster, read);
        }
    }
}
