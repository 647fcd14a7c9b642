using System.Buffers.Binary;
using System.Globalization;
using System.IO.Compression;
using BlockLayer.Graph;
using BlockLayer.Images;

namespace BlockLayer.Benchmarks.SideBySide;

/// <summary>
/// What the request path adds to reading compressed clusters. Inflating is work that no path can avoid, so the peer is the sum of what must be paid: the same
/// content read plainly, and the same streams inflated by the framework from memory, one after the other.
/// </summary>
internal static class CompressedRows
{
    private const int ClusterLength = 64 << 10;
    private const int EntriesPerTable = ClusterLength / sizeof(long);

    internal static async IAsyncEnumerable<Row> MeasureAsync(Setting setting)
    {
        long length = (long)(256 * setting.Scale) << 20;
        string raw = Path.Combine(setting.Directory, "compressed.raw");
        string plain = Path.Combine(setting.Directory, "plain.qcow2");
        string compressed = Path.Combine(setting.Directory, "compressed.qcow2");
        await TestData.WriteMixedFileAsync(raw, length);
        await Tool.RunAsync("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, plain);
        await Tool.RunAsync("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", raw, compressed);
        byte[][] streams = await ReadStreamsAsync(compressed, length);

        await using Disk ours = await Disk.OpenAsync(compressed, new DiskOptions { Format = "qcow2", Access = NodeAccess.ReadOnly });
        await using Disk peer = await Disk.OpenAsync(plain, new DiskOptions { Format = "qcow2", Access = NodeAccess.ReadOnly });
        (double taken, double unavoidable, double speedup) = await Measure.PairsAsync(
            setting.Rounds,
            () => Measure.TimeAsync(() => ReadAllAsync(ours)),
            () => Measure.TimeAsync(async () =>
            {
                await ReadAllAsync(peer);
                Inflate(streams);
            }));
        yield return new Row("64 KiB read, compressed", Rate(length, taken), $"{Rate(length, unavoidable)} read plainly, then inflated", speedup, 1 / 1.2);
    }

    private static async Task ReadAllAsync(Disk disk)
    {
        byte[] cluster = new byte[ClusterLength];
        for (long at = 0; at < disk.Length; at += ClusterLength)
        {
            await disk.ReadAsync(at, cluster);
        }
    }

    private static void Inflate(byte[][] streams)
    {
        byte[] cluster = new byte[ClusterLength];
        foreach (byte[] stream in streams.Where(stream => stream.Length > 0))
        {
            using var inflater = new DeflateStream(new MemoryStream(stream), CompressionMode.Decompress);
            inflater.ReadExactly(cluster);
        }
    }

    /// <summary>The streams of an image whose clusters are all compressed, in guest order: header, L1 and L2 entries as the specification has them.</summary>
    private static async Task<byte[][]> ReadStreamsAsync(string image, long length)
    {
        const int PointerBits = 62 - (16 - 8); // of a compressed cluster descriptor, with clusters of 2^16 bytes
        byte[] file = await File.ReadAllBytesAsync(image);
        long l1 = BinaryPrimitives.ReadInt64BigEndian(file.AsSpan(40));
        byte[][] streams = new byte[length / ClusterLength][];
        for (int i = 0; i < streams.Length; i++)
        {
            long l2 = BinaryPrimitives.ReadInt64BigEndian(file.AsSpan((int)l1 + (i / EntriesPerTable * sizeof(long)))) & 0x00ff_ffff_ffff_fe00;
            long entry = BinaryPrimitives.ReadInt64BigEndian(file.AsSpan((int)l2 + (i % EntriesPerTable * sizeof(long))));
            bool isCompressed = (entry & (1L << 62)) != 0;
            long start = entry & ((1L << PointerBits) - 1);
            long sectors = ((entry >> PointerBits) & ((1L << (62 - PointerBits)) - 1)) + 1;
            streams[i] = isCompressed ? file[(int)start..(int)Math.Min(file.Length, (start & ~511L) + (sectors * 512))] : [];
        }

        return streams;
    }

    private static string Rate(long bytes, double seconds) => string.Create(CultureInfo.InvariantCulture, $"{(bytes >> 20) / seconds:0} MiB/s");
}
