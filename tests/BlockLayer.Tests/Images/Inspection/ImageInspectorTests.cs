using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Images.Inspection;

/// <summary>Verdicts on files that are whole, foreign, or several things at once. Damage, field by field, is the hostile corpus's.</summary>
public sealed class ImageInspectorTests
{
    private const int Sector = 512;

    private readonly MeteredFiles _files = new();
    private readonly BlockEnvironment _environment;

    public ImageInspectorTests() => _environment = TestEnvironment.Inline() with { Files = _files };

    [Theory]
    [InlineData("qcow2")]
    [InlineData("qed")]
    public async Task An_image_without_references_is_safe_and_an_overlay_refers_to_its_backing_file(string format)
    {
        ImageInspection alone = await InspectAsync(await CreateAsync(format, backing: null));
        Assert.Equal((InspectionVerdict.Safe, format, 1L << 20), (alone.Verdict, alone.Format, alone.VirtualSize));
        Assert.Empty(alone.Reasons);
        Assert.Equal([new RecognisedContent(format, 0, RecognisedKind.Image)], alone.Recognised);

        ImageInspection overlay = await InspectAsync(await CreateAsync(format, new BackingReference("/etc/passwd", "raw")));
        Assert.Equal(InspectionVerdict.ReferencesOtherFiles, overlay.Verdict);
        Assert.Equal([new FileReference(FileReferenceRole.Backing, "/etc/passwd", "raw")], overlay.References);
        Assert.Equal(["disk"], _files.Opened);
    }

    [Theory]
    [InlineData("KDMV", 0, "vmdk")]
    [InlineData("COWD", 0, "vmdk")]
    [InlineData("# Disk DescriptorFile\nversion=1\nRW 1 FLAT \"/etc/shadow\" 0\n", 0, "vmdk")]
    [InlineData("conectix", 0, "vpc")]
    [InlineData("conectix", -512, "vpc")]
    [InlineData("conectix", -511, "vpc")]
    [InlineData("vhdxfile", 0, "vhdx")]
    [InlineData("\u007f\u0010\u00da\u00be", 64, "vdi")]
    [InlineData("WithoutFreeSpace", 0, "parallels")]
    [InlineData("WithouFreSpacExt", 0, "parallels")]
    [InlineData("koly", -512, "dmg")]
    [InlineData("QFI\u00fb\0\0\0\u0001", 0, "qcow")]
    public async Task An_image_of_a_format_not_read_here_is_named_and_never_called_safe(string signature, int at, string name)
    {
        byte[] file = new byte[100_000];
        Place(file, signature, at);
        foreach (string? declared in new[] { null, "raw" })
        {
            ImageInspection inspection = await InspectAsync(file, declared);
            Assert.Equal((InspectionVerdict.Unsupported, declared ?? name), (inspection.Verdict, inspection.Format));
            Assert.Equal([new RecognisedContent(name, at < 0 ? file.Length + at : at, RecognisedKind.Image)], inspection.Recognised);
            Assert.Contains(inspection.Reasons, reason => reason.Verdict == InspectionVerdict.Unsupported && reason.Reading == name);
        }
    }

    [Theory]
    [InlineData("LUKS\u00ba\u00be", 0, "luks")]
    [InlineData("CD001", 32769, "iso9660")]
    [InlineData("EFI PART", 512, "gpt")]
    [InlineData("EFI PART", 4096, "gpt")]
    [InlineData("EFI PART", -512, "gpt")]
    public async Task What_a_disk_holds_makes_the_file_a_raw_disk_which_names_nothing(string signature, int at, string name)
    {
        byte[] file = new byte[100 * Sector];
        Place(file, signature, at);
        ImageInspection inspection = await InspectAsync(file);
        Assert.Equal((InspectionVerdict.Safe, "raw", (long?)file.Length), (inspection.Verdict, inspection.Format, inspection.VirtualSize));
        Assert.Equal(name, Assert.Single(inspection.Recognised).Name);
    }

    [Fact]
    public async Task A_boot_sector_is_a_partition_table_only_when_its_entries_could_be_partitions()
    {
        byte[] file = new byte[100 * Sector];
        Place(file, "\u0055\u00aa", 510);
        Assert.Empty((await InspectAsync(file)).Recognised);
        file[450] = 0x83;
        file[458] = 1;
        Assert.Equal([new RecognisedContent("mbr", 510, RecognisedKind.DiskContent)], (await InspectAsync(file)).Recognised);
        file[446 + 16] = 0x42;
        Assert.Empty((await InspectAsync(file)).Recognised);
    }

    [Fact]
    public async Task A_hybrid_image_shows_all_that_it_is()
    {
        byte[] file = new byte[100 * Sector];
        Place(file, "\u0055\u00aa", 510);
        file[450] = 0x83;
        file[458] = 1;
        Place(file, "EFI PART", 512);
        Place(file, "CD001", 32769);
        Place(file, "koly", -512);
        ImageInspection inspection = await InspectAsync(file);
        Assert.Equal(["mbr", "gpt", "iso9660", "dmg"], inspection.Recognised.Select(content => content.Name));
        Assert.Equal(InspectionVerdict.Unsupported, inspection.Verdict);
        Place(file, "\0\0\0\0", -512);
        inspection = await InspectAsync(file);
        Assert.Equal((InspectionVerdict.Safe, "raw"), (inspection.Verdict, inspection.Format));
        Assert.Equal(
            "It also looks like iso9660, by what is at byte 32769: what a program finds in it depends on the program.", // GPT and its MBR are one
            Assert.Single(inspection.Reasons).Message);
    }

    [Fact]
    public async Task A_raw_disk_that_starts_as_an_image_is_judged_as_both()
    {
        byte[] harmless = await CreateAsync("qcow2", backing: null);
        ImageInspection inspection = await InspectAsync(harmless, "raw");
        Assert.Equal((InspectionVerdict.Safe, "raw", (long?)harmless.Length), (inspection.Verdict, inspection.Format, inspection.VirtualSize));
        Assert.Equal("It also looks like qcow2, as it starts: a program that guesses formats opens it as that.", Assert.Single(inspection.Reasons).Message);

        byte[] greedy = await CreateAsync("qcow2", new BackingReference("/etc/passwd", "raw"));
        inspection = await InspectAsync(greedy, "raw");
        Assert.Equal((InspectionVerdict.ReferencesOtherFiles, "raw"), (inspection.Verdict, inspection.Format));
        Assert.Equal("/etc/passwd", Assert.Single(inspection.References).Name);
    }

    [Fact]
    public async Task A_raw_disk_that_starts_as_a_header_nobody_can_read_is_not_safe_because_it_could_name_anything()
    {
        byte[] file = await CreateAsync("qcow2", backing: null);
        file[23] = 63; // cluster_bits
        ImageInspection inspection = await InspectAsync(file, "raw");
        Assert.Equal((InspectionVerdict.Unsupported, "raw"), (inspection.Verdict, inspection.Format));
        Assert.Contains(inspection.Reasons, static reason => reason is { Reading: "qcow2", Field: "cluster_bits" });
    }

    [Theory]
    [InlineData("qcow2")]
    [InlineData("qed")]
    public async Task What_an_image_looks_like_besides_is_told_and_changes_no_verdict(string format)
    {
        byte[] sound = await CreateAsync(format, backing: null);
        byte[] file = [.. sound, .. new byte[Math.Max(0, 100 * Sector - sound.Length)]];
        file.AsSpan(446, 64).Clear(); // of qcow2 names of features
        Place(file, "\u0055\u00aa", 510);
        file[450] = 0x83;
        file[458] = 1;
        Place(file, "EFI PART", 512);
        Place(file, "CD001", 32769);
        ImageInspection inspection = await InspectAsync(file);
        Assert.Equal([format, "mbr", "gpt", "iso9660"], inspection.Recognised.Select(static content => content.Name));
        foreach (string name in new[] { "mbr", "gpt", "iso9660" })
        {
            InspectionReason note = Assert.Single(inspection.Reasons, reason => reason.Reading == name);
            Assert.StartsWith($"It also looks like {name}, by what is at byte {note.Offset}: ", note.Message, StringComparison.Ordinal);
            Assert.Equal(InspectionVerdict.Safe, note.Verdict);
        }

        Assert.Equal((format == "qcow2" ? InspectionVerdict.Safe : inspection.Verdict, format), (inspection.Verdict, inspection.Format));
    }

    [Fact]
    public async Task An_image_with_the_footer_of_another_format_is_not_safe()
    {
        byte[] file = [.. await CreateAsync("qcow2", backing: null), .. new byte[65536]];
        Place(file, "conectix", -512);
        ImageInspection inspection = await InspectAsync(file);
        Assert.Equal((InspectionVerdict.Unsupported, "qcow2"), (inspection.Verdict, inspection.Format));
        Assert.Equal(["qcow2", "vpc"], inspection.Recognised.Select(content => content.Name));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(511)]
    [InlineData(100_000)]
    public async Task What_shows_nothing_is_no_image_unless_it_is_said_to_be_raw(int length)
    {
        ImageInspection inspection = await InspectAsync(new byte[length]);
        Assert.Equal((InspectionVerdict.NotAnImage, null, null), (inspection.Verdict, inspection.Format, inspection.VirtualSize));
        Assert.Equal(InspectionVerdict.NotAnImage, Assert.Single(inspection.Reasons).Verdict);
        Assert.Equal((InspectionVerdict.Safe, "raw"), ((await InspectAsync(new byte[length], "raw")).Verdict, "raw"));
        Assert.Equal(InspectionVerdict.NotAnImage, (await InspectAsync(new byte[length], "qcow2")).Verdict);
        Assert.Equal(InspectionVerdict.NotAnImage, (await InspectAsync(new byte[length], "qed")).Verdict);
    }

    [Fact]
    public async Task However_large_the_tables_are_said_to_be_no_more_is_read_than_the_bound()
    {
        // 2 MiB clusters, full of an extension nobody knows; tables as large as they may be, all inside the file.
        const int Cluster = 2 << 20;
        byte[] file = new byte[26 << 20];
        Qcow2Header header = new()
        {
            Version = 3,
            ClusterBits = 21,
            VirtualSize = 1L << 50,
            L1Size = 2048,
            L1TableOffset = new(5 * Cluster),
            RefcountTableOffset = new(Cluster),
            RefcountTableClusters = 4,
            SnapshotCount = 65536,
            SnapshotsOffset = new(6 * Cluster),
            RefcountOrder = 4,
            AdditionalFields = Qcow2Header.NewAdditionalFields(CompressionType.Zlib),
            Extensions = HeaderExtensions.Create([HeaderExtension.Create((HeaderExtensionType)0x1234, new byte[Cluster - 4096])]),
        };
        header.WriteTo(file);
        ImageInspection inspection = await InspectAsync(file);
        Assert.Equal((InspectionVerdict.Damaged, "Two snapshots have the ID ''."), (inspection.Verdict, inspection.Reasons.First(reason => reason.Verdict != InspectionVerdict.Safe).Message));
        Assert.Equal(1L << 50, inspection.VirtualSize);
        Assert.Equal(_files.BytesRead, inspection.BytesRead);
        Assert.InRange(inspection.BytesRead, Cluster, ImageInspector.MaxBytesRead);
        Assert.InRange(inspection.Reasons.Count, 1, 32);
    }

    [Fact]
    public async Task A_reader_gives_what_its_budget_allows_and_then_nothing()
    {
        _files.Put("disk", new byte[10_000]);
        await using BlockStorage file = await _files.OpenAsync("disk", new StorageOpenOptions(), default);
        InspectionReader reader = await InspectionReader.StartAsync(file, headLength: 100, budget: 1000, default);
        Assert.Equal(900, (await reader.ReadAsync(500, 5000, default)).Length);
        Assert.Equal(0, (await reader.ReadAsync(500, 5000, default)).Length);
        Assert.Equal((1000, 1000), (reader.BytesRead, _files.BytesRead));
    }

    [Fact]
    public async Task A_file_that_cannot_be_read_is_an_error_and_no_verdict()
    {
        var missing = new InspectOptions { Environment = _environment };
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(async () => await ImageInspector.InspectAsync("missing", missing));
        Assert.Equal(BlockErrorKind.NotFound, error.Kind);
        error = await Assert.ThrowsAsync<BlockLayerException>(async () => await ImageInspector.InspectAsync("disk", missing with { Format = "vmdk" }));
        Assert.Equal(BlockErrorKind.Unsupported, error.Kind);
    }

    public static TheoryData<string> GoldenNames() => [.. GoldenImages.All.Select(image => image.Name)];

    [Theory]
    [MemberData(nameof(GoldenNames))]
    public async Task Images_that_other_programs_wrote_are_recognised_and_found_sound(string name)
    {
        GoldenImage image = GoldenImages.Get(name);
        ImageInspection inspection = await ImageInspector.InspectAsync(image.Path);
        Assert.Equal((image.Format, image.VirtualSize), (inspection.Format, inspection.VirtualSize));
        Assert.Equal(inspection.References.Count > 0 ? InspectionVerdict.ReferencesOtherFiles : InspectionVerdict.Safe, inspection.Verdict);
        Assert.InRange(inspection.BytesRead, 1, Math.Min(ImageInspector.MaxBytesRead, inspection.FileLength));
    }

    private static void Place(byte[] file, string latin1, int at)
        => System.Text.Encoding.Latin1.GetBytes(latin1).CopyTo(file.AsSpan(at < 0 ? file.Length + at : at));

    private async ValueTask<ImageInspection> InspectAsync(byte[] file, string? format = null)
    {
        _files.Put("disk", file);
        _files.Reset();
        return await ImageInspector.InspectAsync("disk", new InspectOptions { Format = format, Environment = _environment });
    }

    private async ValueTask<byte[]> CreateAsync(string format, BackingReference? backing)
    {
        _files.Put("new", []);
        var options = new ImageCreateOptions { Length = 1 << 20, Backing = backing };
        await using (var file = new StorageNode(await _files.OpenAsync("new", new StorageOpenOptions { Writable = true }, default), _environment))
        {
            await BuiltInFormats.All.Get(format).CreateAsync(file, options, default);
        }

        return _files.Get("new").ToArray();
    }
}
