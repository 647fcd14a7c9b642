using System.Text;
using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit.Formats.Qcow2;
using BlockLayer.TestKit.Hostile;
using BlockLayer.Tests.Images.Hostile.Structures;
using Xunit;
using static BlockLayer.Tests.Images.Hostile.Qcow2Bytes;

namespace BlockLayer.Tests.Images.Hostile;

/// <summary>Attacks that other programs fell to, each under the name it is known by. Those that go through a command are in <see cref="KnownAttackCommandTests"/>.</summary>
public sealed class KnownAttackTests : IDisposable
{
    private const string Secret = "/secret";
    private const string Image = "/vm/image";
    private const long SmallMemory = 2 << 20;

    private readonly HostileWorld _world = new();

    public void Dispose() => _world.Dispose();

    [Fact]
    [CorpusCase("1 CVE-2008-2004, CVE-2010-2237, CVE-2010-2238, CVE-2010-2239")]
    public async Task A_guest_that_writes_a_header_into_its_raw_disk_gets_no_file_of_the_host()
    {
        byte[] header = Sound.WithBacking(Secret, "raw");
        await _world.PutAsync(Secret, new byte[512]);
        await _world.PutAsync(Image, new byte[64 << 10]);
        await AssertRefusedAsync(BlockErrorKind.InvalidFormat, null); // raw is never guessed
        await using (BlockNode guessed = await _world.OpenAsync(Image, null, OpenPolicy.QemuCompatible, NodeAccess.ReadWrite))
        {
            BlockLayerException denied = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await guessed.WriteAsync(0, header));
            Assert.Equal(BlockErrorKind.Denied, denied.Kind);
        }

        Assert.Equal(new byte[64 << 10], await _world.GetAsync(Image));
        await WriteAsync("raw", header);
        await AssertRefusedAsync(BlockErrorKind.Denied, null);
    }

    [Fact]
    [CorpusCase("1 CVE-2011-3147")]
    public async Task A_backing_name_exposes_no_file_of_the_host()
    {
        await _world.PutAsync(Secret, new byte[512]);
        foreach (string name in new[] { Secret, "../secret", "/vm/../secret" })
        {
            await _world.PutAsync(Image, Sound.WithBacking(name, "raw"));
            await AssertRefusedAsync(BlockErrorKind.Denied, "qcow2");
        }
    }

    [Fact]
    [CorpusCase("1 CVE-2013-1922")]
    public async Task An_open_disk_keeps_its_format_whatever_its_guest_writes()
    {
        byte[] header = Sound.WithBacking(Secret, "raw");
        await _world.PutAsync(Image, new byte[64 << 10]);
        await using (BlockNode disk = await _world.OpenAsync(Image, "raw", access: NodeAccess.ReadWrite))
        {
            await disk.WriteAsync(0, header);
            byte[] found = new byte[header.Length];
            await disk.ReadAsync(0, found);
            Assert.Equal(("raw", 64L << 10), (disk.DriverName, disk.Length));
            Assert.Equal(header, found);
        }

        await using BlockNode again = await _world.OpenAsync(Image, "raw");
        Assert.Equal(("raw", 64L << 10), (again.DriverName, again.Length));
        Assert.Null(again.BackingReference);
    }

    [Fact]
    [CorpusCase("1 CVE-2013-2096, GHSA-5644-2v3h-5w4x")]
    public async Task A_small_image_of_a_huge_disk_is_told_and_does_not_fill_the_host()
    {
        using var host = new HostileWorld(capacity: 4 << 20);
        byte[] bomb = MakeBomb(out long length);
        Assert.InRange(bomb.Length, 0, length / 100);
        await host.PutAsync(Image, bomb);
        Assert.Equal(length, (await host.InspectAsync(Image)).VirtualSize); // before anything is opened
        await using (BlockNode allowed = await host.OpenAsync(Image, "qcow2", OpenPolicy.Untrusted with { MaxLength = length }))
        {
            Assert.Equal(length, allowed.Length);
        }

        OpenDeniedException tooLong = await Assert.ThrowsAsync<OpenDeniedException>(
            async () => await host.OpenAsync(Image, "qcow2", OpenPolicy.Untrusted with { MaxLength = length / 2 }));
        Assert.Equal($"'{Image}' is a disk of 64 MiB; the policy Untrusted opens disks of up to 32 MiB (MaxLength).", tooLong.Message);
        await using BlockNode source = await host.OpenAsync(Image, "qcow2");
        var writer = new ImageWriter(BuiltInFormats.All, host.Environment, OpenPolicy.Default);
        BlockLayerException full = await Assert.ThrowsAnyAsync<BlockLayerException>(
            async () => await writer.WriteNewAsync(source, "/vm/copy", new NewImage { Format = "raw", Length = length }));
        Assert.Equal(BlockErrorKind.NoSpace, full.Kind);
        Assert.Null(host.Memory.GetInfo("/vm/copy"));
    }

    [Fact]
    [CorpusCase("1 CVE-2014-0142, CVE-2014-0148")]
    public void No_number_of_any_header_is_divided_by_or_stepped_by_before_it_was_judged()
    {
        var exercise = new ImageExercise();
        exercise.Files.Put(ImageExercise.BasePath, SeedWorld.Base);
        exercise.Files.Put(ImageExercise.DataPath, new byte[CowOverlaySeeds.Length]);
        int tried = 0;
        foreach ((string format, SeedImage seed) in Seeds())
        {
            foreach (FieldSpot field in seed.Fields.Where(field => field.Offset < seed.ClusterSize))
            {
                byte[] image = [.. seed.Bytes];
                image.AsSpan(field.Offset, field.Width).Clear();
                exercise.Files.Put(ImageExercise.ImagePath, image);
                exercise.Files.Reset();
                exercise.Files.CallBudget = 4000;
                exercise.Inspect(format);
                exercise.Describe(format);
                exercise.Read(format);
                exercise.Write(format, new Random(tried++));
            }
        }

        Assert.InRange(tried, 100, int.MaxValue);

        static IEnumerable<(string Format, SeedImage Seed)> Seeds()
            => [.. Qcow2Seeds.All.Select(seed => ("qcow2", seed)), .. QedSeeds.All.Select(seed => ("qed", seed)), .. CowOverlaySeeds.All.Select(seed => ("add-cow", seed))];
    }

    [Fact]
    [CorpusCase("1 CVE-2014-0143")]
    public async Task Sizes_that_overflow_when_they_are_multiplied_are_refused()
    {
        foreach (uint l1Size in new[] { 0x2000_0000u, 0x7fff_ffffu, 0xffff_ffffu })
        {
            await PutAsync(Snapshots, image => image.Write32(image.Snapshots + 8, l1Size));
            await AssertSnapshotsRefusedAsync();
        }

        await _world.PutAsync(Image, Sound);
        await using BlockNode disk = await _world.OpenAsync(Image, "qcow2", access: NodeAccess.ReadWrite);
        foreach ((long offset, long length) in new (long, long)[] { (long.MaxValue, 1), (disk.Length, 1), (disk.Length - 1, 2), (1, long.MaxValue), (512, long.MaxValue - 512) })
        {
            await Assert.ThrowsAnyAsync<Exception>(async () => await disk.WriteZeroesAsync(offset, length));
        }

        foreach (long length in new[] { long.MaxValue, long.MaxValue - 511, 1L << 62 })
        {
            BlockLayerException refused = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await disk.ResizeAsync(length));
            Assert.Equal(BlockErrorKind.Unsupported, refused.Kind);
        }

        Assert.Equal(Sound.Length, (await _world.GetAsync(Image)).Length);
    }

    [Theory]
    [InlineData(100, 0u)]
    [InlineData(100, 0xffff_fff8u)]
    [InlineData(56, 0u)]
    [InlineData(56, 0xffff_ffffu)]
    [InlineData(36, 0xffff_ffffu)]
    [CorpusCase("1 CVE-2014-0144")]
    public async Task A_header_is_judged_before_a_number_of_it_is_used(int at, uint value)
    {
        await _world.PutAsync(Image, Sound.With32(at, value));
        await AssertRefusedAsync(BlockErrorKind.InvalidFormat, "qcow2");
    }

    [Fact]
    [CorpusCase("1 CVE-2014-0145")]
    public async Task A_snapshot_with_a_huge_L1_table_is_not_loaded()
    {
        await PutAsync(Snapshots, static image => image.Write32(image.Snapshots + 8, 0x0400_0000));
        long before = GC.GetAllocatedBytesForCurrentThread();
        BlockLayerException refused = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await _world.OpenAsync(Image, new ImageOpenOptions { Format = "qcow2", Snapshot = "1" }));
        Assert.True(refused.Kind is BlockErrorKind.InvalidFormat or BlockErrorKind.Corrupt, refused.Message);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, SmallMemory);
    }

    [Theory]
    [InlineData(uint.MaxValue, null)]
    [InlineData(65537u, null)]
    [InlineData(65536u, null)]
    [InlineData(40u, null)]
    [InlineData(2u, 0ul)]
    [InlineData(2u, 1ul << 40)]
    [InlineData(2u, ulong.MaxValue)]
    [CorpusCase("1 CVE-2014-0146")]
    public async Task Snapshots_that_are_not_where_they_are_said_to_be_are_refused_and_nothing_stays_open(uint count, ulong? offset)
    {
        await PutAsync(Snapshots, image =>
        {
            image.Write32(Qcow2Case.SnapshotCountAt, count);
            image.Write(Qcow2Case.SnapshotsOffsetAt, offset ?? (ulong)image.Snapshots);
        });
        await AssertSnapshotsRefusedAsync();
    }

    [Fact]
    [CorpusCase("1 CVE-2014-0147")]
    public async Task A_snapshot_that_no_refcount_can_count_is_not_made()
    {
        await PutAsync(Sound, static image => image.File[image.RefcountBlock + (image.Data >> image.Geometry.ClusterBits)] = 255);
        byte[] before = await _world.GetAsync(Image);
        await using (BlockNode disk = await _world.OpenAsync(Image, "qcow2", access: NodeAccess.ReadWrite))
        {
            BlockLayerException refused = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await ImageSnapshots.CreateAsync(disk, "one"));
            Assert.Equal(BlockErrorKind.Unsupported, refused.Kind);
        }

        Assert.Equal(before, (await _world.GetAsync(Image))[..before.Length]);
    }

    [Fact]
    [CorpusCase("1 CVE-2014-0222, CVE-2014-0223")]
    public async Task An_image_of_version_1_is_recognised_and_nothing_of_it_is_used()
    {
        byte[] image = new byte[4096].With32(0, 0x5146_49fb).With32(4, 1).With64(24, ulong.MaxValue).With8(32, 255).With8(33, 255);
        await _world.PutAsync(Image, image);
        ImageInspection inspection = await _world.InspectAsync(Image);
        Assert.Equal((InspectionVerdict.Unsupported, "qcow"), (inspection.Verdict, inspection.Format));
        foreach (string? format in new[] { null, "qcow", "qcow2" })
        {
            BlockLayerException refused = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await _world.OpenAsync(Image, format));
            Assert.True(refused.Kind is BlockErrorKind.Unsupported or BlockErrorKind.InvalidFormat, refused.Message);
        }
    }

    [Fact]
    [CorpusCase("1 CVE-2015-5162")]
    public async Task A_small_file_that_claims_the_largest_tables_costs_what_a_small_file_costs()
    {
        byte[] image = Sound.With32(36, 4 << 20).With32(56, 8192).With32(60, 65536).With64(64, 1024);
        await _world.PutAsync(Image, image);
        long before = GC.GetAllocatedBytesForCurrentThread();
        ImageInspection inspection = await _world.InspectAsync(Image);
        await AssertRefusedAsync(BlockErrorKind.Corrupt, "qcow2");
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, SmallMemory);
        Assert.InRange(inspection.BytesRead, 0, 2 * image.Length);
    }

    [Fact]
    [CorpusCase("1 CVE-2015-5163")]
    public async Task A_strangers_image_has_no_backing_file_not_even_beside_it()
    {
        await _world.PutAsync("/vm/base", new byte[512]);
        await _world.PutAsync(Image, Sound.WithBacking("base", "raw"));
        await AssertRefusedAsync(BlockErrorKind.Denied, "qcow2", OpenPolicy.Untrusted);
    }

    [Theory]
    [InlineData(long.MaxValue)]
    [InlineData(1L << 40)]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(long.MinValue)]
    [CorpusCase("1 CVE-2020-1711")]
    public async Task What_storage_says_of_more_than_was_asked_is_cut_and_of_nothing_is_an_error(long answer)
    {
        using var world = new HostileWorld(around: files => new LyingFiles(files, answer));
        await world.PutAsync(Image, new byte[64 << 10]);
        await using BlockNode disk = await world.OpenAsync(Image, "raw");
        if (answer < 1)
        {
            BlockLayerException error = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await disk.GetStatusAsync(0, 4096, StatusDepth.Node));
            Assert.Equal(BlockErrorKind.Io, error.Kind);
            return;
        }

        Assert.Equal(4096, (await disk.GetStatusAsync(0, 4096, StatusDepth.Node)).Length);
        Assert.Equal(8192, (await disk.GetStatusAsync(56 << 10, 8192, StatusDepth.Node)).Length);
        List<MapExtent> map = [];
        await foreach (MapExtent extent in ImageMapper.MapAsync(disk))
        {
            map.Add(extent);
        }

        Assert.Equal(64 << 10, map.Sum(static extent => extent.Length));
    }

    [Fact]
    [CorpusCase("1 CVE-2022-47951")]
    public async Task A_descriptor_of_another_format_makes_nobody_open_its_extents()
    {
        await _world.PutAsync(Secret, new byte[512]);
        byte[] descriptor = new byte[4096];
        Encoding.ASCII.GetBytes($"# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\nRW 1 FLAT \"{Secret}\" 0\n").CopyTo(descriptor, 0);
        await _world.PutAsync(Image, descriptor);
        Assert.Equal(InspectionVerdict.Unsupported, (await _world.InspectAsync(Image)).Verdict);
        Assert.Equal(InspectionVerdict.Unsupported, (await _world.InspectAsync(Image, "raw")).Verdict);
        await AssertRefusedAsync(BlockErrorKind.InvalidFormat, null);
        await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await _world.OpenAsync(Image, "vmdk"));
        await using BlockNode disk = await _world.OpenAsync(Image, null, OpenPolicy.QemuCompatible);
        Assert.Equal("raw", disk.DriverName);
        Assert.DoesNotContain(Secret, _world.Files.Opened);
    }

    [Fact]
    [CorpusCase("1 CVE-2024-32498")]
    public async Task A_data_file_exposes_no_file_of_the_host_to_reads_writes_or_inspection()
    {
        await _world.PutAsync(Secret, new byte[512]);
        await _world.PutAsync(Image, Sound.WithDataFile(Secret));
        ImageInspection inspection = await _world.InspectAsync(Image);
        Assert.Equal(InspectionVerdict.ReferencesOtherFiles, inspection.Verdict);
        Assert.Equal([new FileReference(FileReferenceRole.Data, Secret, "raw")], inspection.References);
        await AssertRefusedAsync(BlockErrorKind.Denied, "qcow2");
        await AssertRefusedAsync(BlockErrorKind.Denied, "qcow2", OpenPolicy.Untrusted);
        await using BlockNode described = await _world.OpenAsync(Image, new ImageOpenOptions { Format = "qcow2", DataFile = DataFileMode.Ignore });
        await ImageInfo.ReadAsync(described);
        Assert.DoesNotContain(Secret, _world.Files.Opened);
    }

    [Theory]
    [InlineData("json:{\"driver\":\"file\",\"filename\":\"/secret\"}")]
    [InlineData("json:{\"driver\":\"null-co\",\"size\":1099511627776}")]
    [InlineData("nbd:unix:/secret")]
    [CorpusCase("1 CVE-2024-4467")]
    public async Task A_name_is_never_read_as_options(string name)
    {
        await _world.PutAsync(Secret, new byte[512]);
        foreach (byte[] image in new[] { Sound.WithDataFile(name), Sound.WithBacking(name, "raw") })
        {
            await _world.PutAsync(Image, image);
            await AssertRefusedAsync(BlockErrorKind.Denied, "qcow2");
            await AssertRefusedAsync(BlockErrorKind.Denied, "qcow2", OpenPolicy.QemuCompatible);
            var alone = new ImageOpenOptions { Format = "qcow2", DataFile = DataFileMode.Ignore, Backing = BackingMode.Ignore };
            await using BlockNode described = await _world.OpenAsync(Image, alone);
            ImageInfo info = await ImageInfo.ReadAsync(described);
            Assert.Equal(name, info.Backing?.Name ?? info.Details.Properties.Single(static property => property.Key == "data-file").Value);
        }

        Assert.All(_world.Files.Opened, static path => Assert.Equal(Image, path));
    }

    [Fact]
    [CorpusCase("1 GHSA-jmr4-g2hv-mjj6")]
    public async Task A_guest_that_gives_its_disk_a_backing_file_gets_none_of_its_neighbours_disks()
    {
        await _world.PutAsync("/vm/neighbour", new byte[512]);
        await _world.PutAsync(Image, new byte[64 << 10]);
        await WriteAsync("raw", Sound.WithBacking("neighbour", "raw"));
        await AssertRefusedAsync(BlockErrorKind.Denied, null, OpenPolicy.Untrusted);
        await using BlockNode disk = await _world.OpenAsync(Image, "raw", OpenPolicy.Untrusted);
        Assert.Null(disk.Backing);
        Assert.DoesNotContain("/vm/neighbour", _world.Files.Opened);
    }

    /// <summary>One stream for every cluster of the disk.</summary>
    private static byte[] MakeBomb(out long length)
    {
        const int ClusterSize = 64 << 10;
        const long Length = 64 << 20;
        length = Length;
        byte[] image = SeedWorld.Make(
            Qcow2Format.Instance,
            new Qcow2CreateOptions { Length = Length, ClusterSize = ClusterSize, RefcountBits = 64 },
            static node => node.WriteAsync(0, Enumerable.Repeat((byte)0xaa, ClusterSize).ToArray(), WriteFlags.Compressed).AsTask(),
            out byte[] _);
        return image.Change(static damaged =>
        {
            long first = damaged.StreamEntries.First();
            for (int i = 1; i < Length / ClusterSize; i++)
            {
                damaged.Write(first + (8 * i), damaged.Read(first));
            }
        });
    }

    private ValueTask PutAsync(byte[] sound, Action<DamagedImage> spoil) => _world.PutAsync(Image, sound.Change(spoil));

    private async Task WriteAsync(string format, byte[] bytes)
    {
        await using BlockNode disk = await _world.OpenAsync(Image, format, access: NodeAccess.ReadWrite);
        await disk.WriteAsync(0, bytes);
    }

    /// <summary>The image is refused, and no other file was opened for it.</summary>
    private async Task AssertRefusedAsync(BlockErrorKind kind, string? format, OpenPolicy? policy = null)
    {
        _world.Files.Opened.Clear();
        BlockLayerException refused = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await _world.OpenAsync(Image, format, policy));
        Assert.Equal(kind, refused.Kind);
        Assert.Equal([Image], _world.Files.Opened);
        Assert.Equal(0, _world.Files.Open);
    }

    /// <summary>Snapshots are neither listed nor made: the image is refused, or opens and refuses both.</summary>
    private async Task AssertSnapshotsRefusedAsync()
    {
        byte[] before = await _world.GetAsync(Image);
        BlockLayerException refused = await Assert.ThrowsAnyAsync<BlockLayerException>(async () =>
        {
            await using BlockNode node = await _world.OpenAsync(Image, "qcow2", access: NodeAccess.ReadWrite);
            foreach (Func<Task> use in new Func<Task>[] { async () => await ImageSnapshots.CreateAsync(node, "new"), async () => await node.WriteAsync(0, new byte[512]) })
            {
                await Assert.ThrowsAnyAsync<BlockLayerException>(use);
            }

            await ImageSnapshots.CreateAsync(node, "again");
        });
        Assert.True(refused.Kind is BlockErrorKind.InvalidFormat or BlockErrorKind.Corrupt or BlockErrorKind.ReadOnly, refused.Message);
        Assert.Equal(before[512..], (await _world.GetAsync(Image))[512..]);
        Assert.Equal(0, _world.Files.Open);
    }
}
