using System.Buffers.Binary;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Check;

/// <summary>The checker by itself. That its numbers are QEMU's is proved in the interop tests.</summary>
public sealed class Qcow2CheckerTests
{
    private const ulong Copied = 1UL << 63;

    public static TheoryData<GoldenImage> CleanImages => new(GoldenImages.OfFormat("qcow2").Where(static image => image.GuestSha256 is not null));

    [Theory]
    [MemberData(nameof(CleanImages), DisableDiscoveryEnumeration = true)]
    public async Task Image_written_by_QEMU_is_clean(GoldenImage image)
    {
        ImageCheckReport report = await Check(File.ReadAllBytes(image.Path));
        Assert.True(report.IsClean, string.Join('\n', report.Findings));
        Assert.NotEqual(0, report.AllocatedClusters);
    }

    [Fact]
    public async Task Image_left_dirty_has_stale_refcounts()
    {
        ImageCheckReport report = await Check(File.ReadAllBytes(GoldenImages.Get("q7-lazy-dirty.qcow2").Path));
        Assert.False(report.IsClean);
        Assert.Contains(report.Findings, static finding => finding.Message.Contains("has refcount 0 and is referred to 1 times", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Finding_says_where_it_is_and_what()
    {
        byte[] file = File.ReadAllBytes(GoldenImages.Get("q7-v3.qcow2").Path);
        int l1 = (int)Qcow2Header.Parse(file).L1TableOffset.Value;
        ulong entry = BinaryPrimitives.ReadUInt64BigEndian(file.AsSpan(l1));
        BinaryPrimitives.WriteUInt64BigEndian(file.AsSpan(l1), entry & ~Copied);
        ImageCheckReport report = await Check(file);
        ImageCheckFinding finding = Assert.Single(report.Findings);
        Assert.Equal(
            new ImageCheckFinding(ImageFaultKind.Corruption, $"L1 table entry 0x{entry & ~Copied:x16} at byte {l1} has the copied flag clear, and its table's refcount is 1."),
            finding);
    }

    [Fact]
    public async Task Progress_goes_up_to_the_whole_disk()
    {
        Collector progress = new();
        byte[] file = Empty(clusters: 70, l1Entries: 64);
        for (int i = 0; i < 64; i++)
        {
            BinaryPrimitives.WriteUInt64BigEndian(file.AsSpan(4 * 65536 + i * 8), Copied | (5UL + (ulong)i) * 65536);
        }

        await Qcow2Checker.CheckAsync(new MetadataBytes(file), Qcow2Header.Parse(file), progress, CancellationToken.None);
        Assert.Equal([16L << 20, 32L << 20, 48L << 20, 64L << 20], progress.Reports.Select(static report => report.Done));
        Assert.All(progress.Reports, static report => Assert.Equal(64L << 20, report.Total));
    }

    [Fact]
    public async Task Cancelled_check_stops()
    {
        byte[] file = File.ReadAllBytes(GoldenImages.Get("q7-v3.qcow2").Path);
        await Assert.ThrowsAsync<OperationCanceledException>(
            async () => await Qcow2Checker.CheckAsync(new MetadataBytes(file), Qcow2Header.Parse(file), null, new CancellationToken(canceled: true)));
    }

    [Fact]
    public async Task L1_entries_that_all_lead_to_one_table_cost_one_read_of_it()
    {
        byte[] file = Empty(clusters: 70, l1Entries: 65536);
        for (int i = 0; i < 65536; i++)
        {
            BinaryPrimitives.WriteUInt64BigEndian(file.AsSpan(4 * 65536 + i * 8), Copied | 3 * 65536);
        }

        for (int i = 0; i < 8192; i++)
        {
            BinaryPrimitives.WriteUInt64BigEndian(file.AsSpan(3 * 65536 + i * 8), Copied | 20 * 65536);
        }

        MetadataBytes reader = new(file);
        ImageCheckReport report = await Qcow2Checker.CheckAsync(reader, Qcow2Header.Parse(file), null, CancellationToken.None);
        Assert.InRange(reader.BytesRead, 0, 2 * file.Length);
        Assert.Equal(65536L * 8192, report.AllocatedClusters);
        Assert.InRange(report.Findings.Count, 1, 1000);
        Assert.InRange(report.Corruptions, 65536L * 8192, long.MaxValue);
    }

    [Fact]
    public async Task Refcount_table_that_names_one_block_a_million_times_costs_one_read_of_it()
    {
        byte[] file = Empty(clusters: 140, l1Entries: 1);
        Qcow2Header header = Qcow2Header.Parse(file) with { RefcountTableOffset = new(6 * 65536), RefcountTableClusters = 128 };
        header.WriteTo(file);
        for (int i = 0; i < 128 * 8192; i++)
        {
            BinaryPrimitives.WriteUInt64BigEndian(file.AsSpan(6 * 65536 + i * 8), 2 * 65536);
        }

        MetadataBytes reader = new(file);
        ImageCheckReport report = await Qcow2Checker.CheckAsync(reader, header, null, CancellationToken.None);
        Assert.InRange(reader.BytesRead, 0, 2 * file.Length);
        Assert.InRange(report.Corruptions, 128 * 8192 - 1, long.MaxValue);
    }

    [Fact]
    public async Task Snapshots_that_share_one_L1_table_under_many_sizes_are_given_up_by_name()
    {
        byte[] file = Empty(clusters: 100, l1Entries: 1);
        const int count = 2000;
        for (int i = 0; i < count; i++)
        {
            Span<byte> entry = file.AsSpan(10 * 65536 + i * 56);
            BinaryPrimitives.WriteUInt64BigEndian(entry, 20 * 65536);
            BinaryPrimitives.WriteUInt32BigEndian(entry[8..], (uint)(100_000 + i));
            BinaryPrimitives.WriteUInt32BigEndian(entry[36..], 16);
        }

        Qcow2Header header = Qcow2Header.Parse(file) with { SnapshotCount = count, SnapshotsOffset = new(10 * 65536) };
        MetadataBytes reader = new(file);
        ImageCheckReport report = await Qcow2Checker.CheckAsync(reader, header, null, CancellationToken.None);
        Assert.InRange(reader.BytesRead, 0, 3 * file.Length);
        Assert.Contains(report.Findings, static finding => finding.Message == "The L1 tables of the snapshots are longer than the file, so they overlap.");
    }

    [Fact]
    public async Task Snapshot_table_that_leaves_the_file_is_read_on_with_zeroes_and_told_once()
    {
        byte[] file = Empty(clusters: 6, l1Entries: 1);
        Qcow2Header header = Qcow2Header.Parse(file) with { SnapshotCount = 1000, SnapshotsOffset = new(5 * 65536) };
        BinaryPrimitives.WriteUInt32BigEndian(file.AsSpan(5 * 65536 + 36), 1024);
        ImageCheckReport report = await Check(file, header with { SnapshotCount = 2000 });
        Assert.Equal(0, report.CheckErrors);
        Assert.InRange(report.Corruptions, 1999, 2010); // as QEMU counts them: one for each entry without anything in it
        Assert.Single(report.Findings, static finding => finding.Message == "snapshot table of 2000 entries at byte 327680 does not end inside the file of 393216 bytes.");
    }

    [Fact]
    public async Task Every_cluster_of_the_file_whose_refcount_cannot_be_read_is_counted_as_not_checked()
    {
        byte[] file = Empty(clusters: 6, l1Entries: 1);
        BinaryPrimitives.WriteUInt64BigEndian(file.AsSpan(65536), (2 * 65536) + 512);
        ImageCheckReport report = await Check(file, Qcow2Header.Parse(file));
        Assert.Equal(6, report.CheckErrors);
        Assert.Contains(report.Findings, static finding => finding.Message == "The refcounts of 6 clusters from cluster 0 on cannot be read.");
    }

    [Fact]
    public async Task A_file_that_is_an_endless_hole_is_checked_like_a_short_one()
    {
        Qcow2Header header = Qcow2Header.Parse(Empty(clusters: 6, l1Entries: 1)) with { ClusterBits = 9 };
        long before = GC.GetAllocatedBytesForCurrentThread();
        ImageCheckReport report = await Qcow2Checker.CheckAsync(new EndlessFile(), header, null, CancellationToken.None);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
        Assert.Equal((0, 0), (report.Leaks, report.CheckErrors));
        Assert.Equal(3, report.Corruptions); // header, refcount table and L1 table are used, and nothing counts them
    }

    /// <summary>A sound empty image: header, refcount table and block in clusters 0 to 2, one free cluster, then the L1 table.</summary>
    private static byte[] Empty(int clusters, int l1Entries)
    {
        byte[] file = new byte[clusters * 65536];
        (TestHeaders.Version3() with { L1Size = (uint)l1Entries, L1TableOffset = new(4 * 65536) }).WriteTo(file);
        BinaryPrimitives.WriteUInt64BigEndian(file.AsSpan(65536), 2 * 65536);
        RefcountBlock block = new(file.AsSpan(2 * 65536, 65536), refcountOrder: 4);
        block[0] = block[1] = block[2] = 1;
        for (int i = 0; i <= l1Entries * 8 / 65536; i++)
        {
            block[4 + i] = 1;
        }

        return file;
    }

    private static ValueTask<ImageCheckReport> Check(byte[] file, Qcow2Header? header = null)
        => Qcow2Checker.CheckAsync(new MetadataBytes(file), header ?? Qcow2Header.Parse(file), progress: null, CancellationToken.None);

    private sealed class Collector : IProgress<ByteProgress>
    {
        public List<ByteProgress> Reports { get; } = [];

        public void Report(ByteProgress value) => Reports.Add(value);
    }

    /// <summary>As long as a sparse file can be; every read is a mistake.</summary>
    private sealed class EndlessFile : IMetadataReader
    {
        public long Length => long.MaxValue;

        public ValueTask ReadPaddedAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        {
            buffer.Span.Clear();
            return ValueTask.CompletedTask;
        }
    }
}
