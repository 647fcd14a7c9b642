using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Primitives;
using BlockLayer.Simulation.Tests.Crashes;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Formats.Qcow2;

/// <summary>
/// Crashes while bitmaps are changed, and while the disk is written that they describe. A bitmap that is there and can be used tells the truth: whoever copies what it
/// shows has everything that was written.
/// </summary>
public sealed class BitmapCrashTests
{
    private const int ClusterSize = 512;
    private const int Length = 96 * ClusterSize;
    private const int Granularity = 512;

    private static readonly CrashEnumeration s_enumeration = new() { ExhaustiveLimit = 7, RandomSubsets = 16, RandomTornStates = 8 };

    public static TheoryData<string, string> Changes
    {
        get
        {
            TheoryData<string, string> data = [];
            foreach (string image in (string[])["ours", "ours, over a base", "q7-bitmap.qcow2", "q11-bitmap.qcow2"])
            {
                foreach (string change in (string[])["add", "remove", "remove all", "clear", "disable", "enable", "merge", "grow"])
                {
                    data.Add(image, change);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Changes))]
    public async Task A_crash_leaves_the_bitmaps_of_before_or_those_of_after(string image, string change)
    {
        SimulatedStorageProvider storage = await PrepareAsync(image);
        string before = await DescribeAsync(storage);
        var steps = new List<string> { before };
        using var recorder = new CrashRecorder(storage) { Observe = () => steps.Count - 1 };
        await using (Qcow2Node node = await OpenAsync(storage, NodeAccess.ReadWrite))
        {
            foreach (Func<ValueTask> step in StepsOf(node, change))
            {
                await step();
                steps.Add(await DescribeAsync(node));
            }
        }

        Assert.Equal(steps[^1], await DescribeAsync(storage));
        var met = new HashSet<string>();
        long states = await CrashCheck.RunAsync(
            recorder,
            async (state, crashed) =>
            {
                string found = await DescribeAsync(crashed);
                met.Add(found);
                int promised = (int)state.Image.Observation!;
                Assert.Contains(found, steps[promised..Math.Min(promised + 2, steps.Count)]);
                await AssertSoundAsync(crashed);
            },
            s_enumeration);
        Assert.Equal(steps.Distinct().Count(), met.Count);
        CrashTable.Print($"qcow2, {image}: bitmap {change}", recorder, states, "old bitmaps or new ones");
    }

    [Theory]
    [InlineData("ours")]
    [InlineData("q7-bitmap.qcow2")]
    public async Task A_bitmap_that_survives_a_crash_shows_everything_that_was_written(string image)
    {
        SimulatedStorageProvider storage = await PrepareAsync(image);
        byte[] initial = await ReadDiskAsync(storage);
        string frozen;
        CrashRecorder recorder;
        await using (Qcow2Node node = await OpenAsync(storage, NodeAccess.ReadWrite))
        {
            string[] enabled = [.. ImageBitmaps.List(node).Where(static bitmap => bitmap.IsEnabled).Select(static bitmap => bitmap.Name)];
            foreach (string name in enabled)
            {
                await ImageBitmaps.ClearAsync(node, name);
            }

            frozen = await DescribeAsync(node, static bitmap => !bitmap.IsEnabled);
        }

        recorder = new CrashRecorder(storage);
        await using (Qcow2Node node = await OpenAsync(storage, NodeAccess.ReadWrite))
        {
            var random = new Random(3);
            for (int i = 0; i < 10; i++)
            {
                int length = Math.Min(3 * ClusterSize, (int)node.Length);
                int at = random.Next((int)(node.Length - length) / 512) * 512;
                switch (i % 5)
                {
                    case 3:
                        await node.DiscardAsync(at, length);
                        break;
                    case 4:
                        await node.WriteZeroesAsync(at, length);
                        await node.FlushAsync();
                        break;
                    default:
                        await node.WriteAsync(at, GuestStamp.Create(at, length, writer: 100 + i));
                        break;
                }
            }
        }

        using (recorder)
        {
            (long complete, long inUse) = (0, 0);
            long states = await CrashCheck.RunAsync(
                recorder,
                async (_, crashed) =>
                {
                    byte[] disk = await ReadDiskAsync(crashed);
                    await using Qcow2Node node = await OpenAsync(crashed, NodeAccess.ReadWrite);
                    Assert.Equal(frozen, await DescribeAsync(node, static bitmap => !bitmap.IsEnabled));
                    foreach (ImageBitmap bitmap in ImageBitmaps.List(node).Where(static bitmap => bitmap.IsEnabled))
                    {
                        if (bitmap.Problem is not null)
                        {
                            inUse++;
                            await ImageBitmaps.RemoveAsync(node, bitmap.Name);
                            continue;
                        }

                        complete++;
                        byte[] copy = [.. initial];
                        await foreach (ByteRange range in ImageBitmaps.ReadAsync(node, bitmap.Name))
                        {
                            disk.AsSpan((int)range.Offset, (int)range.Length).CopyTo(copy.AsSpan((int)range.Offset));
                        }

                        int difference = copy.AsSpan().CommonPrefixLength(disk);
                        Assert.True(difference == disk.Length, $"'{bitmap.Name}' does not show that byte {difference} was written");
                    }

                    await node.FlushAsync();
                    ImageCheckReport report = await node.CheckAsync(progress: null, CancellationToken.None);
                    Assert.True(report.Corruptions == 0, string.Join('\n', report.Findings));
                },
                s_enumeration);
            Assert.True(complete > 0 && inUse > 0, $"{complete} bitmaps were complete and {inUse} in use");
            CrashTable.Print($"qcow2, {image}: written with bitmaps", recorder, states, $"{complete} complete, {inUse} in use");
        }
    }

    private static IEnumerable<Func<ValueTask>> StepsOf(Qcow2Node node, string change)
    {
        string enabled = ImageBitmaps.List(node).First(static bitmap => bitmap.IsEnabled).Name;
        string other = ImageBitmaps.List(node).First(bitmap => bitmap.Name != enabled).Name;
        return change switch
        {
            "add" => [() => ImageBitmaps.AddAsync(node, "new", new NewBitmap { Granularity = Granularity })],
            "remove" => [() => ImageBitmaps.RemoveAsync(node, enabled)],
            "remove all" => ImageBitmaps.List(node).Select(bitmap => (Func<ValueTask>)(() => ImageBitmaps.RemoveAsync(node, bitmap.Name))),
            "clear" => [() => ImageBitmaps.ClearAsync(node, enabled)],
            "disable" => [() => ImageBitmaps.DisableAsync(node, enabled)],
            "enable" => [() => ImageBitmaps.DisableAsync(node, other), () => ImageBitmaps.EnableAsync(node, other)],
            "merge" => [() => ImageBitmaps.MergeAsync(node, other, enabled)],
            "grow" => [async () =>
            {
                await ImageBitmaps.DisableAsync(node, enabled);
            },
            () => ImageBitmaps.DisableAsync(node, other),
            async () => await node.ResizeAsync(node.Length * 3)],
            _ => throw new ArgumentOutOfRangeException(nameof(change)),
        };
    }

    /// <summary>An image with one enabled bitmap and another one, both with bits set and none in use.</summary>
    private static async Task<SimulatedStorageProvider> PrepareAsync(string image)
    {
        var storage = new SimulatedStorageProvider();
        if (image.EndsWith(".qcow2", StringComparison.Ordinal))
        {
            storage.AddFile("disk", await File.ReadAllBytesAsync(GoldenImages.Get(image).Path));
        }
        else
        {
            var options = new Qcow2CreateOptions
            {
                Length = Length,
                ClusterSize = image == "ours" ? ClusterSize : 8 * ClusterSize,
                Backing = image == "ours" ? null : new BackingReference("base", "raw"),
            };
            BlockStorage file = await storage.OpenAsync("disk", new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateOrTruncate }, CancellationToken.None);
            await using var created = new StorageNode(file, EnvironmentOf(storage));
            await Qcow2Format.Instance.CreateAsync(created, options, CancellationToken.None);
            await storage.FlushDirectoryAsync("", CancellationToken.None);
        }

        await using Qcow2Node node = await OpenAsync(storage, NodeAccess.ReadWrite);
        if (ImageBitmaps.List(node).Count == 0)
        {
            await ImageBitmaps.AddAsync(node, "on", new NewBitmap { Granularity = Granularity });
            await ImageBitmaps.AddAsync(node, "off", new NewBitmap { Granularity = 4096, State = BitmapState.Disabled });
        }

        await node.WriteAsync(3 * ClusterSize, GuestStamp.Create(3 * ClusterSize, 2 * ClusterSize, writer: 1));
        string[] names = [.. ImageBitmaps.List(node).Select(static bitmap => bitmap.Name)];
        await ImageBitmaps.MergeAsync(node, names[1], names[0]);
        if (!ImageBitmaps.List(node).Any(static bitmap => bitmap.IsEnabled))
        {
            await ImageBitmaps.EnableAsync(node, names[0]);
        }

        return storage;
    }

    private static BlockEnvironment EnvironmentOf(StorageProvider files)
        => new() { Files = files, Work = InlineWorkScheduler.Instance, Time = TimeProvider.System };

    private static async ValueTask<Qcow2Node> OpenAsync(SimulatedStorageProvider files, NodeAccess access)
    {
        BlockStorage storage = await files.OpenAsync("disk", new StorageOpenOptions { Writable = access == NodeAccess.ReadWrite }, CancellationToken.None);
        var context = new FormatOpenContext { NodeName = "disk", Access = access };
        return (Qcow2Node)await Qcow2Format.Instance.OpenAsync(new StorageNode(storage, EnvironmentOf(files)), context, CancellationToken.None);
    }

    private static async Task<byte[]> ReadDiskAsync(SimulatedStorageProvider files)
    {
        await using Qcow2Node node = await OpenAsync(files, NodeAccess.ReadOnly);
        byte[] content = new byte[node.Length];
        await node.ReadAsync(0, content);
        return content;
    }

    private static async Task<string> DescribeAsync(SimulatedStorageProvider files)
    {
        await using Qcow2Node node = await OpenAsync(files, NodeAccess.ReadOnly);
        return await DescribeAsync(node);
    }

    /// <summary>Everything a reader learns about the bitmaps.</summary>
    private static async Task<string> DescribeAsync(Qcow2Node node, Func<ImageBitmap, bool>? which = null)
    {
        var lines = new List<string> { $"{node.Length} bytes, backing {node.BackingReference}" };
        foreach (ImageBitmap bitmap in ImageBitmaps.List(node).Where(which ?? (static _ => true)))
        {
            var ranges = new List<ByteRange>();
            if (bitmap.Problem is null)
            {
                await foreach (ByteRange range in ImageBitmaps.ReadAsync(node, bitmap.Name))
                {
                    ranges.Add(range);
                }
            }

            lines.Add($"{bitmap} {string.Join(' ', ranges)}");
        }

        return string.Join('\n', lines);
    }

    private static async Task AssertSoundAsync(SimulatedStorageProvider files)
    {
        await using Qcow2Node node = await OpenAsync(files, NodeAccess.ReadOnly);
        ImageCheckReport report = await node.CheckAsync(progress: null, CancellationToken.None);
        Assert.True(report.Corruptions == 0, string.Join('\n', report.Findings));
    }
}
