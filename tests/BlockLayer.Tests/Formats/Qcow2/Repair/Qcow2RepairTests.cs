using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Primitives;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Repair;

/// <summary>What a repair does by itself. That QEMU finds its result clean is proved in the interop tests.</summary>
public sealed class Qcow2RepairTests
{
    private readonly TestWorld _world = new();

    [Theory]
    [InlineData("L2 entry: another one's cluster")]
    [InlineData("L2 entry: the L1 table")]
    [InlineData("L2 entry: its own table")]
    [InlineData("L2 entry: the refcount block")]
    public async Task Cluster_with_several_users_becomes_one_for_each(string damage)
    {
        DamagedImage image = Golden("q7-v3.qcow2", damage);
        long contested = image.Data;
        await RepairAsync(image.File);
        byte[] repaired = await _world.ReadFileAsync("image");
        DamagedImage after = new(repaired);
        IEnumerable<long> users = after.L2Entries(static entry => entry.HostOffset.Value != 0).Select(at => new L2Entry(after.Read(at)).HostOffset.Value);
        Assert.Equal(users.Distinct().Count(), users.Count());
        Assert.InRange(users.Count(host => host == contested), 0, 1);
        await using Qcow2Node node = await _world.OpenAsync("image");
        ImageCheckReport report = await ImageChecker.CheckAsync(node, cancellationToken: TestContext.Current.CancellationToken);
        Assert.True(report.IsClean, "a cluster still has more users than one");
    }

    [Fact]
    public async Task Repaired_image_is_written_and_stays_clean()
    {
        await RepairAsync(Golden("q7-c512.qcow2", "refcounts: everything free").File);
        await using Qcow2Node node = await _world.OpenAsync("image");
        byte[] model = new byte[node.Length];
        await node.ReadAsync(0, model);
        var random = new Random(4);
        for (int i = 0; i < 30; i++)
        {
            int offset = random.Next((int)node.Length - 50_000);
            byte[] data = Pattern.Of(offset, random.Next(1, 50_000), i);
            data.CopyTo(model, offset);
            await node.WriteAsync(offset, data);
        }

        byte[] found = new byte[node.Length];
        await node.ReadAsync(0, found);
        Assert.True(model.AsSpan().SequenceEqual(found));
        Assert.True((await ImageChecker.CheckAsync(node, cancellationToken: TestContext.Current.CancellationToken)).IsClean);
    }

    [Fact]
    public async Task Corrupt_bit_is_cleared_only_by_a_complete_repair()
    {
        DamagedImage image = Golden("q7-v3.qcow2", "L2 entry: another one's cluster");
        Damage.Apply("header: corrupt bit", image);
        await RepairAsync(image.File, RepairMode.Leaks);
        Assert.True(Qcow2Header.Parse(await _world.ReadFileAsync("image")).HasFeature(IncompatibleFeatures.Corrupt));
        await RepairAsync(await _world.ReadFileAsync("image"));
        Assert.False(Qcow2Header.Parse(await _world.ReadFileAsync("image")).HasFeature(IncompatibleFeatures.Corrupt));
    }

    [Fact]
    public async Task Repair_that_is_cancelled_before_its_first_change_changes_nothing()
    {
        DamagedImage image = Golden("q7-c512.qcow2", "L2 entry: another one's cluster");
        await _world.WriteFileAsync("image", image.File);
        using var stop = new CancellationTokenSource();
        await using (Qcow2Node node = await _world.OpenAsync("image", purpose: OpenPurpose.Repair))
        {
            await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await node.RepairAsync(RepairMode.All, new Collector([], stop.Cancel), stop.Token));
        }

        Assert.Equal(image.File, await _world.ReadFileAsync("image"));
    }

    [Fact]
    public async Task Image_that_is_open_to_be_used_is_not_repaired_and_one_open_for_a_repair_not_written()
    {
        await _world.WriteFileAsync("image", Golden("q7-v3.qcow2", "L1 entry: copied flag").File);
        await using (Qcow2Node used = await _world.OpenAsync("image"))
        {
            Assert.Equal(BlockErrorKind.ReadOnly, (await Assert.ThrowsAsync<BlockLayerException>(async () => await ImageChecker.RepairAsync(used, RepairMode.All))).Kind);
        }

        await using Qcow2Node node = await _world.OpenAsync("image", purpose: OpenPurpose.Repair);
        Assert.Equal(BlockErrorKind.ReadOnly, (await Assert.ThrowsAsync<BlockLayerException>(async () => await node.WriteAsync(0, new byte[512]))).Kind);
    }

    [Fact]
    public async Task Progress_goes_up_to_the_whole_disk()
    {
        await _world.WriteFileAsync("image", Golden("q7-c512.qcow2", "L1 entry: copied flag").File);
        List<ByteProgress> reports = [];
        await using Qcow2Node node = await _world.OpenAsync("image", purpose: OpenPurpose.Repair);
        await node.RepairAsync(RepairMode.All, new Collector(reports), CancellationToken.None);
        Assert.Equal(reports.Select(static report => report.Done).Order(), reports.Select(static report => report.Done));
        Assert.All(reports, report => Assert.InRange(report.Done, 0, node.Length));
        Assert.True(reports[^1].Done > node.Length / 2, "the second check was not told");
    }

    /// <summary>At an extension that is left behind, QEMU would warn at every open.</summary>
    [Theory]
    [InlineData("bitmap: data for bits")]
    [InlineData("bitmap: the L1 table for its table")]
    [InlineData("bitmap: unknown flag")]
    public async Task Bitmaps_that_are_given_up_take_their_extension_and_room_with_them(string damage)
    {
        DamagedImage image = Golden("q7-bitmap.qcow2", damage);
        ImageRepairReport report = await RepairAsync(image.File);

        Assert.True(report.After.IsClean, string.Join('\n', report.After.Findings.Take(5)));
        Assert.Contains("The bitmaps are damaged and were given up.", report.Repairs);
        Qcow2Header header = Qcow2Header.Parse(await _world.ReadFileAsync("image"));
        Assert.Null(header.Extensions.Find(HeaderExtensionType.Bitmaps));
        Assert.Equal(AutoclearFeatures.None, header.Autoclear & AutoclearFeatures.Bitmaps);
        Assert.Equal(image.Header.Extensions.Items.Count - 1, header.Extensions.Items.Count);
    }

    [Fact]
    public async Task Bitmaps_that_are_out_of_date_go_in_a_repair()
    {
        DamagedImage image = Golden("q7-bitmap.qcow2", "L1 entry: copied flag");
        (image.Header with { Autoclear = AutoclearFeatures.None }).WriteTo(image.File);
        ImageRepairReport report = await RepairAsync(image.File);

        Assert.True(report.After.IsClean, string.Join('\n', report.After.Findings.Take(5)));
        Assert.Null(Qcow2Header.Parse(await _world.ReadFileAsync("image")).Extensions.Find(HeaderExtensionType.Bitmaps));
    }

    /// <summary>An L1 table whose entries all lead to one full table asks for a copy of all data for each of its entries.</summary>
    [Fact]
    public async Task Tables_that_all_lead_to_one_are_not_copied_without_bound()
    {
        await _world.CreateAsync("image", new Qcow2CreateOptions { Length = 8 << 20, ClusterSize = 512 });
        await using (Qcow2Node node = await _world.OpenAsync("image"))
        {
            await node.WriteAsync(0, Pattern.Of(0, 64 * 512, writer: 1));
        }

        DamagedImage image = new(await _world.ReadFileAsync("image"));
        for (int i = 1; i < image.Header.L1Size; i++)
        {
            image.Write(image.L1 + (i * 8), image.Read(image.L1));
        }

        ImageRepairReport report = await RepairAsync(image.File);
        Assert.True(report.After.IsClean, string.Join('\n', report.After.Findings.Take(5)));
        Assert.InRange((await _world.ReadFileAsync("image")).Length, image.File.Length, image.File.Length * 3);
        await using Qcow2Node repaired = await _world.OpenAsync("image");
        byte[] found = new byte[64 * 512];
        for (int i = 0; i < image.Header.L1Size; i++)
        {
            await repaired.ReadAsync(i * 64 * 512, found);
            Assert.Equal(Pattern.Of(0, 64 * 512, writer: 1), found);
        }
    }

    private static DamagedImage Golden(string name, string damage)
    {
        DamagedImage image = new(File.ReadAllBytes(GoldenImages.Get(name).Path));
        Damage.Apply(damage, image);
        return image;
    }

    private async Task<ImageRepairReport> RepairAsync(byte[] file, RepairMode mode = RepairMode.All)
    {
        await _world.WriteFileAsync("image", file);
        await using Qcow2Node node = await _world.OpenAsync("image", purpose: OpenPurpose.Repair);
        return await ImageChecker.RepairAsync(node, mode, cancellationToken: TestContext.Current.CancellationToken);
    }

    private sealed class Collector(List<ByteProgress> reports, Action? onReport = null) : IProgress<ByteProgress>
    {
        public void Report(ByteProgress value)
        {
            reports.Add(value);
            onReport?.Invoke();
        }
    }
}
