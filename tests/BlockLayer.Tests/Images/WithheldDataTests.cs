using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Images;

/// <summary>A disk over an image that was opened without its passphrase: whatever would destroy something on its way refuses before it does.</summary>
public sealed class WithheldDataTests : IDisposable
{
    private const int Length = 1 << 20;
    private const int Half = Length / 2;

    private readonly MemoryWorld _world = new();
    private readonly Passphrase _passphrase = Passphrase.FromText("correct horse");

    [Theory]
    [InlineData("write")]
    [InlineData("copy")]
    [InlineData("mirror to a new image")]
    [InlineData("mirror")]
    [InlineData("backup")]
    [InlineData("commit")]
    [InlineData("commit job")]
    [InlineData("active commit")]
    public async Task Nothing_is_written_for_what_cannot_be_read(string operation)
    {
        await using Disk disk = await OpenWithoutPassphraseAsync();
        await using (Disk target = await _world.CreateRawAsync("/target", Length))
        {
            await target.WriteAsync(0, Pattern.Of(0, Length, writer: 9));
        }

        BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(() => CarryOutAsync(operation, disk));
        Assert.Equal((BlockErrorKind.Denied, "/locked"), (refusal.Kind, refusal.Path));
        Assert.Contains("was opened without its passphrase", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(Pattern.Of(0, Length, writer: 9), await ReadAsync("/target"));
        await disk.DisposeAsync();
        Assert.Equal(new byte[Length], await ReadAsync("/base", "qcow2"));
    }

    [Fact]
    public async Task What_the_newest_image_holds_is_copied_without_what_lies_below()
    {
        await using Disk disk = await OpenWithoutPassphraseAsync();
        await using Disk target = await _world.CreateRawAsync("/target", Length);
        await ImageConverter.CopyAsync(disk.Root, target.Root, new ConvertOptions { Depth = ConvertDepth.TopImage });
        byte[] expected = new byte[Length];
        Pattern.Of(0, Half, writer: 3).CopyTo(expected, 0);
        Assert.Equal(expected, await ReadAsync(target));
    }

    public void Dispose() => _passphrase.Dispose();

    private async Task CarryOutAsync(string operation, Disk disk)
    {
        switch (operation)
        {
            case "write":
                await new ImageWriter(BuiltInFormats.All, _world.Environment, OpenPolicy.Default).WriteNewAsync(disk.Root, "/target", new NewImage { Format = "raw" });
                return;
            case "mirror to a new image":
                await disk.StartMirrorAsync("/target", create: new NewImage { Format = "raw" }, targetOptions: _world.As("raw"));
                return;
            case "commit":
                await ImageCommitter.CommitAsync(disk.Root, disk.Chain[^1]);
                return;
            case "commit job":
                await disk.StartCommitAsync(new CommitOptions { Top = disk.Chain[1], Base = disk.Chain[2] });
                return;
            case "active commit":
                await disk.StartCommitAsync(new ActiveCommitOptions { Base = disk.Chain[2] });
                return;
        }

        await using Disk target = await Disk.OpenAsync("/target", _world.As("raw"));
        await (operation switch
        {
            "copy" => ImageConverter.CopyAsync(disk.Root, target.Root).AsTask(),
            "mirror" => disk.StartMirrorAsync(target.Root).AsTask(),
            _ => (Task)new BackupJob(disk.Root, target.Root).StartAsync().AsTask(),
        });
    }

    // What the newest image holds would be copied before the job came to what it cannot read.
    private async Task<Disk> OpenWithoutPassphraseAsync()
    {
        await (await _world.CreateAsync("/base", "qcow2", Length)).DisposeAsync();
        DiskOptions unlocked = _world.As("qcow2") with { Secrets = new ImageSecrets(_passphrase) };
        var locked = new NewImage
        {
            Format = "qcow2",
            Length = Length,
            Backing = new BackingReference("/base", "qcow2"),
            Options = new Dictionary<string, string> { ["encrypt.format"] = "luks", ["encrypt.iterations"] = "1000" },
            Secrets = unlocked.Secrets,
        };
        await using (Disk below = await Disk.CreateAsync("/locked", locked, unlocked))
        {
            await below.WriteAsync(Half, Pattern.Of(Half, Half, writer: 2));
        }

        Disk disk = await _world.CreateAsync("/disk", "qcow2", Length, new BackingReference("/locked", "qcow2"));
        await disk.WriteAsync(0, Pattern.Of(0, Half, writer: 3));
        return disk;
    }

    private async Task<byte[]> ReadAsync(string path, string format = "raw")
    {
        await using Disk disk = await Disk.OpenAsync(path, _world.As(format, NodeAccess.ReadOnly));
        return await ReadAsync(disk);
    }

    private static async Task<byte[]> ReadAsync(Disk disk)
    {
        byte[] content = new byte[Length];
        await disk.ReadAsync(0, content);
        return content;
    }
}
