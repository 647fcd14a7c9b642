using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Primitives;
using BlockLayer.TestKit;
using BlockLayer.Tests.Cli;
using Xunit;

namespace BlockLayer.Interop.Tests.Qcow2;

/// <summary>Bitmaps that we keep, QEMU reads, and the other way round; what one of the two leaves unfinished, the other does not trust.</summary>
public sealed class BitmapInteropTests : IDisposable
{
    private const int Length = (3 << 20) + 512;

    private readonly TemporaryFolder _folder = new();
    private readonly QemuTool _qemuImg = QemuTool.Require("qemu-img");

    private string Image => _folder.File("disk.qcow2");

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("cluster_size=64k")]
    [InlineData("cluster_size=512")]
    [InlineData("cluster_size=2M")]
    [InlineData("cluster_size=4k,refcount_bits=1")]
    [InlineData("cluster_size=16k,extended_l2=on")]
    public async Task Bits_that_we_set_QEMU_reads(string options)
    {
        _qemuImg.RunOk("create", "-q", "-f", "qcow2", "-o", options, Image, $"{Length}");
        await ChangeAsync(static async node =>
        {
            await ImageBitmaps.AddAsync(node, "plain");
            await ImageBitmaps.AddAsync(node, "fine, with a näme", new NewBitmap { Granularity = 512 });
            await ImageBitmaps.AddAsync(node, "coarse", new NewBitmap { Granularity = 1 << 20, State = BitmapState.Disabled });
        });
        AssertClean();
        await WriteRandomlyAsync(seed: 1);
        await ChangeAsync(static node => ImageBitmaps.MergeAsync(node, "coarse", "plain").AsTask());
        AssertClean();

        await AssertSameAsync(3);
    }

    [Fact]
    public async Task Bits_that_QEMU_set_we_read()
    {
        _qemuImg.RunOk("create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", Image, $"{Length}");
        _qemuImg.RunOk("bitmap", "--add", "-g", "512", Image, "fine");
        _qemuImg.RunOk("bitmap", "--add", "-g", "128k", Image, "coarse");
        QemuTool.Require("qemu-io").RunOk("-f", "qcow2", "-c", "write 1M 3k", "-c", "write -z 2M 100k", "-c", "discard 100k 64k", "-c", "write 3M 512", Image);
        await AssertSameAsync(2);

        _qemuImg.RunOk("bitmap", "--disable", "--clear", Image, "fine");
        _qemuImg.RunOk("bitmap", "--add", "--disable", "--merge", "coarse", Image, "merged");
        await WriteRandomlyAsync(seed: 2);
        await AssertSameAsync(3);
        AssertClean();
    }

    [Fact]
    public async Task A_copy_with_bitmaps_has_those_that_QEMUs_copy_has()
    {
        _qemuImg.RunOk("create", "-q", "-f", "qcow2", Image, "3M");
        _qemuImg.RunOk("bitmap", "--add", "-g", "4096", Image, "fine");
        _qemuImg.RunOk("bitmap", "--add", Image, "off");
        QemuTool.Require("qemu-io").RunOk("-f", "qcow2", "-c", "write 1M 3k", "-c", "write 2M 100k", Image);
        _qemuImg.RunOk("bitmap", "--disable", Image, "off");
        (string theirs, string ours) = (_folder.File("theirs.qcow2"), _folder.File("ours.qcow2"));
        _qemuImg.RunOk("convert", "--bitmaps", "-O", "qcow2", Image, theirs);
        using (var blk = new BlkRun())
        {
            await blk.SucceedAsync("convert", "-f", "qcow2", "-O", "qcow2", "--bitmaps", Image, ours);
        }

        Assert.Equal(QemuBitmap.List(theirs), QemuBitmap.List(ours));
        foreach (string name in (string[])["fine", "off"])
        {
            Assert.NotEmpty(QemuBitmap.Ranges(_folder, ours, name));
            Assert.Equal(QemuBitmap.Ranges(_folder, theirs, name), QemuBitmap.Ranges(_folder, ours, name));
        }

        _qemuImg.RunOk("check", "-q", ours);
    }

    // Both do the same to their own image; the bitmaps have to be the same too.
    [Fact]
    public async Task The_same_writes_leave_the_same_bits()
    {
        const int Steps = 40;
        string theirs = _folder.File("theirs.qcow2");
        foreach (string path in new[] { Image, theirs })
        {
            _qemuImg.RunOk("create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", path, $"{Length}");
            _qemuImg.RunOk("bitmap", "--add", "-g", "1k", path, "bits");
        }

        var random = new Random(4);
        (int Kind, int Offset, int Length)[] steps =
        [
            .. Enumerable.Range(0, Steps).Select(_ => (random.Next(3), random.Next(Length / 4096) * 4096, random.Next(1, 10) * 4096))
                .Where(static step => step.Item2 + step.Item3 <= Length),
        ];
        string[] script = [.. steps.SelectMany(static step => new[] { "-c", $"{(step.Kind switch { 0 => "write", 1 => "write -z", _ => "discard" })} {step.Offset} {step.Length}" })];
        QemuTool.Require("qemu-io").RunOk(["-f", "qcow2", .. script, theirs]);
        await ChangeAsync(async node =>
        {
            foreach ((int kind, int offset, int length) in steps)
            {
                await (kind switch
                {
                    0 => node.WriteAsync(offset, Pattern.Of(offset, length, writer: 9)),
                    1 => node.WriteZeroesAsync(offset, length),
                    _ => node.DiscardAsync(offset, length),
                });
            }
        });

        List<ByteRange> bits = QemuBitmap.Ranges(_folder, theirs, "bits");
        Assert.NotEmpty(bits);
        Assert.Equal(bits, QemuBitmap.Ranges(_folder, Image, "bits"));
        AssertClean();
    }

    [Theory]
    [InlineData("q7-bitmap.qcow2")]
    [InlineData("q11-bitmap.qcow2")]
    public async Task Images_that_QEMU_made_keep_their_bitmaps_through_our_writes(string golden)
    {
        File.Copy(GoldenImages.Get(golden).Path, Image);
        await AssertSameAsync(2);
        await WriteRandomlyAsync(seed: 3);
        await AssertSameAsync(2);
        await ChangeAsync(static node => ImageBitmaps.RemoveAsync(node, "b0").AsTask());
        AssertClean();
        await AssertSameAsync(1);
        _qemuImg.RunOk("bitmap", "--remove", Image, "b1");
        AssertClean();
    }

    [Fact]
    public async Task A_size_that_one_changes_the_other_finds_with_bitmaps_that_fit()
    {
        _qemuImg.RunOk("create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", Image, $"{Length}");
        _qemuImg.RunOk("bitmap", "--add", "-g", "512", Image, "fine");
        await WriteRandomlyAsync(seed: 5);
        await ChangeAsync(static node => node.ResizeAsync(40 * Length).AsTask());
        AssertClean();
        await AssertSameAsync(1);
        QemuTool.Require("qemu-io").RunOk("-f", "qcow2", "-c", $"write {39 * Length} 512", Image);
        _qemuImg.RunOk("resize", Image, $"{80 * Length}");
        await AssertSameAsync(1);
        await ChangeAsync(static node => node.ResizeAsync(Length / 2, new ResizeOptions { AllowShrink = true }).AsTask());
        AssertClean();
        await AssertSameAsync(1);
    }

    [Fact]
    public async Task What_we_leave_in_use_QEMU_takes_for_inconsistent_and_can_only_remove()
    {
        _qemuImg.RunOk("create", "-q", "-f", "qcow2", Image, $"{Length}");
        _qemuImg.RunOk("bitmap", "--add", Image, "lost");
        string crashed = _folder.File("crashed.qcow2");
        await ChangeAsync(async node =>
        {
            await node.WriteAsync(0, new byte[] { 1 });
            await node.FlushAsync();
            File.Copy(Image, crashed);
        });

        Assert.Equal(["lost 65536 in-use,auto"], QemuBitmap.List(crashed));
        Assert.NotEqual(0, _qemuImg.Run("bitmap", "--clear", crashed, "lost").ExitCode);
        _qemuImg.RunOk("bitmap", "--remove", crashed, "lost");
        _qemuImg.RunOk("check", crashed);
        Assert.Equal(["lost 65536 auto"], QemuBitmap.List(Image)); // ours went on to its end
    }

    [Fact]
    public async Task What_QEMU_leaves_in_use_we_take_for_inconsistent_and_can_only_remove()
    {
        _qemuImg.RunOk("create", "-q", "-f", "qcow2", Image, $"{Length}");
        _qemuImg.RunOk("bitmap", "--add", Image, "lost");
        _ = QemuTool.Require("qemu-io").Run("-f", "qcow2", "-c", "write 0 64k", "-c", "flush", "-c", "sigraise 9", Image);
        Assert.Equal(["lost 65536 in-use,auto"], QemuBitmap.List(Image));

        await ChangeAsync(static async node =>
        {
            Assert.NotNull(Assert.Single(ImageBitmaps.List(node)).Problem);
            await Assert.ThrowsAsync<Errors.BlockLayerException>(() => ImageBitmaps.ClearAsync(node, "lost").AsTask());
            await ImageBitmaps.RemoveAsync(node, "lost");
        });

        Assert.Empty(QemuBitmap.List(Image));
        AssertClean();
    }

    private async Task ChangeAsync(Func<BlockNode, Task> change)
    {
        BlockNode node = await OpenAsync(NodeAccess.ReadWrite);
        await using (node)
        {
            await change(node);
        }
    }

    private ValueTask<BlockNode> OpenAsync(NodeAccess access)
        => new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default).OpenAsync(Image, new ImageOpenOptions { Format = "qcow2", Access = access });

    private Task WriteRandomlyAsync(int seed) => ChangeAsync(async node =>
    {
        var random = new Random(seed);
        for (int i = 0; i < 60; i++)
        {
            long offset = random.NextInt64(node.Length);
            int length = (int)Math.Min(random.Next(1, 20_000), node.Length - offset);
            await (random.Next(4) switch
            {
                0 => node.WriteZeroesAsync(offset, length),
                1 => node.DiscardAsync(offset, length),
                _ => node.WriteAsync(offset, Pattern.Of(offset, length, writer: 1 + i)),
            });
        }
    });

    /// <summary>Both see the same bitmaps with the same bits, and there are so many of them.</summary>
    private async Task AssertSameAsync(int bitmaps)
    {
        BlockNode node = await OpenAsync(NodeAccess.ReadOnly);
        List<string> ours = [];
        var bits = new Dictionary<string, List<ByteRange>>();
        await using (node)
        {
            foreach (ImageBitmap bitmap in ImageBitmaps.List(node))
            {
                ours.Add($"{bitmap.Name} {bitmap.Granularity} {(bitmap.IsEnabled ? "auto" : "")}");
                bits[bitmap.Name] = [];
                await foreach (ByteRange range in ImageBitmaps.ReadAsync(node, bitmap.Name))
                {
                    bits[bitmap.Name].Add(range);
                }
            }
        }

        Assert.Equal(bitmaps, ours.Count);
        Assert.Equal(QemuBitmap.List(Image), ours);
        foreach ((string name, List<ByteRange> ranges) in bits)
        {
            Assert.Equal(QemuBitmap.Ranges(_folder, Image, name), ranges);
        }
    }

    private void AssertClean()
    {
        QemuResult check = _qemuImg.Run("check", Image);
        Assert.True(check.ExitCode == 0, check.Output + check.Error);
    }
}
