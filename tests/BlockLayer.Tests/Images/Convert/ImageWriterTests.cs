using System.Globalization;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Images;

public sealed class ImageWriterTests
{
    private const int Length = (3 << 20) + 512;

    private readonly MemoryWorld _world = new();

    public static TheoryData<int> SomeSeeds => [.. Enumerable.Range(1, 40)];

    // A random disk in a random format, perhaps over a backing file, copied with random settings into another format.
    [Theory]
    [MemberData(nameof(SomeSeeds))]
    public async Task Whatever_the_source_and_the_settings_the_new_image_reads_as_the_source_and_is_in_order(int seed)
    {
        var random = new Random(seed);
        string format = Pick(random, "raw", "qcow2", "qed");
        byte[] content = new byte[Length];
        BackingReference? backing = format == "raw" ? null : await MakeBackingAsync(random, content);
        await using Disk source = await _world.CreateAsync("/source", format, Length, backing);
        await ScribbleAsync(random, source, content, writer: 2);

        string target = Pick(random, "raw", "qcow2", "qed");
        bool compressed = target == "qcow2" && random.Next(2) == 0;
        var options = new ConvertOptions
        {
            Encoding = compressed ? ConvertEncoding.Compressed : ConvertEncoding.Plain,
            SparseSize = random.Next(4) == 0 ? 0 : 512 << random.Next(6),
            Workers = 1 + random.Next(4),
        };
        var image = new NewImage { Format = target, Options = SomeOptions(random, target) };
        await Writer().WriteNewAsync(source.Root, "/target", image, options);

        await using Disk copy = await Disk.OpenAsync("/target", _world.As(target, NodeAccess.ReadOnly));
        byte[] read = new byte[Length];
        await copy.ReadAsync(0, read);
        Assert.True(content.AsSpan().SequenceEqual(read), $"differs at {content.AsSpan().CommonPrefixLength(read)}; {format} to {target}, {options}");
        if (target != "raw")
        {
            ImageCheckReport report = await ImageChecker.CheckAsync(copy.Root);
            Assert.Equal((0, 0), (report.Corruptions, report.Leaks));
        }
    }

    [Fact]
    public async Task A_target_for_which_there_is_no_room_is_removed()
    {
        var world = new MemoryWorld(capacity: 3 << 20);
        await using Disk source = await world.CreateRawAsync("/source", 2 << 20);
        await source.WriteAsync(0, Pattern.Of(0, 2 << 20, writer: 1));
        var writer = new ImageWriter(BuiltInFormats.All, world.Environment, OpenPolicy.Default);
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(
            async () => await writer.WriteNewAsync(source.Root, "/target", new NewImage { Format = "qcow2" }));
        Assert.Equal(BlockErrorKind.NoSpace, error.Kind);
        Assert.False(world.Exists("/target"));
    }

    [Fact]
    public async Task An_existing_image_that_cannot_be_filled_is_kept()
    {
        await using Disk source = await _world.CreateRawAsync("/source", 2 << 20);
        await (await _world.CreateRawAsync("/target", 1 << 20)).DisposeAsync();
        await Assert.ThrowsAsync<BlockLayerException>(async () => await Writer().WriteExistingAsync(source.Root, "/target", "raw"));
        Assert.True(_world.Exists("/target"));
    }

    [Fact]
    public async Task A_target_that_is_its_own_source_is_refused_and_unharmed()
    {
        await using Disk source = await _world.CreateRawAsync("/source", 1 << 20);
        await source.WriteAsync(0, Pattern.Of(0, 1000, writer: 1));
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(
            async () => await Writer().WriteNewAsync(source.Root, "/source", new NewImage { Format = "qcow2" }));
        Assert.Equal(BlockErrorKind.InvalidFormat, error.Kind);
        byte[] read = new byte[1000];
        await source.ReadAsync(0, read);
        Assert.Equal(Pattern.Of(0, 1000, writer: 1), read);
    }

    private static string Pick(Random random, params string[] choices) => choices[random.Next(choices.Length)];

    private static Dictionary<string, string> SomeOptions(Random random, string format)
        => format == "raw"
            ? []
            : new() { ["cluster_size"] = (4096 << random.Next(6)).ToString(CultureInfo.InvariantCulture) };

    private ImageWriter Writer() => new(BuiltInFormats.All, _world.Environment, OpenPolicy.Default);

    private async Task<BackingReference?> MakeBackingAsync(Random random, byte[] content)
    {
        if (random.Next(2) == 0)
        {
            return null;
        }

        int length = 512 * (1 + random.Next(Length / 512)); // shorter than the overlay, as often as not by part of a cluster
        await using Disk backing = await _world.CreateAsync("/backing", "qcow2", length);
        await ScribbleAsync(random, backing, content.AsMemory(0, length), writer: 1);
        return new BackingReference("backing", "qcow2");
    }

    private static async Task ScribbleAsync(Random random, Disk disk, Memory<byte> content, int writer)
    {
        for (int i = 0; i < 12; i++)
        {
            int offset = random.Next(content.Length);
            int length = 1 + random.Next(Math.Min(content.Length - offset, 300_000));
            switch (random.Next(3))
            {
                case 0:
                    await disk.WriteZeroesAsync(offset, length);
                    content.Slice(offset, length).Span.Clear();
                    break;
                case 1:
                    await disk.WriteAsync(offset, new byte[length]);
                    content.Slice(offset, length).Span.Clear();
                    break;
                default:
                    Pattern.Fill(content.Slice(offset, length).Span, offset, writer);
                    await disk.WriteAsync(offset, content.Slice(offset, length));
                    break;
            }
        }
    }
}
