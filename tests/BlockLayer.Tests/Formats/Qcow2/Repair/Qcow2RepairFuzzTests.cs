using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Repair;

/// <summary>
/// Metadata overwritten at random, with bytes, with words of other tables, with whole sectors of something else: a repair ends with a typed error or a report, keeps what
/// could be read, asks for no more than a bounded multiple of the file, and has nothing left to do when it is done again.
/// </summary>
public sealed class Qcow2RepairFuzzTests
{
    [Theory]
    [InlineData("q7-c4k.qcow2")]
    [InlineData("q7-rc1.qcow2")]
    [InlineData("q7-rc64.qcow2")]
    [InlineData("q7-snap.qcow2")]
    [InlineData("q7-bitmap.qcow2")]
    [InlineData("q7-zlib2k.qcow2")]
    [InlineData("q7-extl2-zero.qcow2")]
    public void Repair_keeps_what_can_be_read(string name)
        => Seeds.Check(nameof(Qcow2RepairFuzzTests) + "." + nameof(Repair_keeps_what_can_be_read), 12, seed => RunAsync(name, seed).GetAwaiter().GetResult());

    private static async Task RunAsync(string name, ulong seed)
    {
        var random = new Random((int)seed);
        DamagedImage image = new(await File.ReadAllBytesAsync(GoldenImages.Get(name).Path));
        for (int i = random.Next(1, 10); i > 0; i--)
        {
            Mutate(image, random);
        }

        ReadableContent before;
        try
        {
            before = await ReadableContent.OfAsync(image.File);
        }
        catch (BlockLayerException)
        {
            return; // a header that nobody opens
        }

        TestWorld world = new();
        await WriteFileAsync(world, image.File);
        if (await RepairAsync(world) is not { } report)
        {
            return;
        }

        byte[] repaired = await ReadFileAsync(world);
        Assert.InRange(repaired.Length, image.File.Length, (image.File.Length * 4L) + (1 << 20));
        before.AssertKeptBy(await ReadableContent.OfAsync(repaired), $"{name}, seed {seed}");
        if (report.After.IsClean)
        {
            ImageRepairReport again = (await RepairAsync(world))!;
            Assert.Empty(again.Repairs);
            Assert.Equal(repaired, await ReadFileAsync(world));
        }
    }

    private static void Mutate(DamagedImage image, Random random)
    {
        long[] tables = [image.L1, image.RefcountTable, image.RefcountBlock, .. image.UsedL1Entries.Select(at => new L1Entry(image.Read(at)).L2Table.Value)];
        if (image.Header.SnapshotCount > 0)
        {
            tables = [.. tables, image.Snapshots];
        }

        tables = [.. tables.Where(table => table >= image.Geometry.ClusterSize && table + image.Geometry.ClusterSize <= image.File.Length)];
        long at = tables[random.Next(tables.Length)] + (random.Next(image.Geometry.ClusterSize / 8) & (random.Next(2) == 0 ? 31 : -1)) * 8L;
        switch (random.Next(5))
        {
            case 0:
                image.File[at + random.Next(8)] = (byte)random.Next(256);
                break;
            case 1:
                image.Write(at, image.Read(tables[random.Next(tables.Length)] + (random.Next(32) * 8)));
                break;
            case 2:
                image.Write(at, 1UL << 63 | (ulong)(random.NextInt64(image.File.Length) & ~(image.Geometry.ClusterSize - 1L)));
                break;
            case 3:
                image.Flip(at, 1UL << random.Next(64));
                break;
            default:
                int sector = (int)(at & ~511L);
                image.File.AsSpan(random.Next(image.File.Length / 512) * 512, 512).CopyTo(image.File.AsSpan(sector));
                break;
        }
    }

    /// <summary>Null when the image is refused, by a typed error.</summary>
    private static async Task<ImageRepairReport?> RepairAsync(TestWorld world)
    {
        try
        {
            await using Qcow2Node node = await world.OpenAsync("image", purpose: OpenPurpose.Repair);
            return await node.RepairAsync(RepairMode.All, progress: null, CancellationToken.None);
        }
        catch (BlockLayerException)
        {
            return null;
        }
    }

    private static async Task WriteFileAsync(TestWorld world, byte[] bytes)
    {
        await using StorageNode file = await world.OpenFileAsync("image", StorageOpenMode.CreateOrTruncate);
        await file.ResizeAsync(bytes.Length);
        await file.WriteAsync(0, bytes);
    }

    private static async Task<byte[]> ReadFileAsync(TestWorld world)
    {
        await using StorageNode file = await world.OpenFileAsync("image");
        byte[] bytes = new byte[file.Length];
        await file.ReadAsync(0, bytes);
        return bytes;
    }
}
