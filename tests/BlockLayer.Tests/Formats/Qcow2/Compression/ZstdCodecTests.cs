using System.Buffers.Binary;
using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Compression;

public sealed class ZstdCodecTests : ClusterCodecContract
{
    [Fact]
    public void Window_larger_than_any_cluster_is_refused_before_it_is_allocated()
    {
        // RFC 8878, 3.1.1: magic, descriptor 0 (no content size, window descriptor follows), window descriptor with exponent 31 (2 TiB).
        byte[] frame = new byte[512];
        BinaryPrimitives.WriteUInt32LittleEndian(frame, 0xfd2f_b528);
        frame[5] = 31 << 3;
        var error = Assert.Throws<ImageFormatException>(() => Codec().Decompress(frame, new byte[65536], new(1)));
        Assert.Equal("compressed cluster at byte 1 is not a zstd stream with a window of at most 8 MiB.", error.Message);
    }

    [Fact]
    public void Several_frames_in_a_row_fill_one_cluster()
    {
        byte[] cluster = Content("text", 8192);
        byte[] stream = new byte[8192];
        Assert.True(Codec().TryCompress(cluster.AsSpan(0, 4096), stream, out int first));
        Assert.True(Codec().TryCompress(cluster.AsSpan(4096), stream.AsSpan(first), out int second));
        byte[] read = new byte[8192];
        Codec().Decompress(stream.AsSpan(0, first + second), read, new(0));
        Assert.Equal(cluster, read);
    }

    internal override IClusterCodec Codec()
    {
        IClusterCodec? codec = ZstdCodec.TryLoad();
        Assert.SkipWhen(codec is null, "this machine has no libzstd");
        return codec;
    }
}
