using System.Text.Json;
using BlockLayer.Cli;
using BlockLayer.TestKit.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Tests.Cli;

/// <summary>What the commands that only look make of an image whose lists are damaged, or were written to deceive.</summary>
public sealed class DamagedImageCommandTests : IDisposable
{
    private const int SnapshotCountAt = 60;
    private const int ExtraSizeAt = 36;
    private const int SnapshotNameAt = 40 + 24 + 1; // behind the extra data of version 3 and an id of one digit
    private const int BitmapNameAt = 24;

    private readonly BlkRun _blk = new();

    [Fact]
    public async Task Info_shows_the_rest_of_an_image_whose_snapshots_cannot_be_read()
    {
        DamagedImage image = await CreateAsync();
        await PutAsync(image.Snapshots + ExtraSizeAt, [0xff, 0xff, 0xff, 0xff]);
        string damage = $"The snapshots cannot be read: extra data size of a snapshot is 4294967295 at byte {image.Snapshots + ExtraSizeAt}; allowed is 0 to 1024.";

        string text = await _blk.SucceedAsync("info", "@a.qcow2");

        Assert.Contains("virtual size: 1 MiB (1048576 bytes)\n", text, StringComparison.Ordinal);
        Assert.Contains("name: daily\n", text, StringComparison.Ordinal);
        Assert.EndsWith($"\ndamaged: {damage}\n", text, StringComparison.Ordinal);
        Assert.Equal([damage], await DamageInJsonAsync());
        Assert.Equal(
            new BlkRun.Outcome(ExitCode.Failure, "", damage.Replace("The snapshots cannot be read", "blk: @a.qcow2", StringComparison.Ordinal) + "\n"),
            await _blk.RunAsync("snapshot", "list", "@a.qcow2"));
    }

    [Fact]
    public async Task An_image_whose_snapshots_cannot_be_read_is_written_after_the_repair_that_the_refusal_names()
    {
        await CreateAsync();
        await PutAsync(SnapshotCountAt, [0, 1, 0, 1]);
        BlkRun.Outcome refused = await _blk.RunAsync("resize", "@a.qcow2", "2M");
        Assert.Equal(ExitCode.Failure, refused.Code);
        Assert.Contains(
            "The snapshots cannot be read, so nobody knows what they use: nb_snapshots is 65537 at byte 60; allowed is 0 to 65536. The image can be read, and is repaired by 'blk check -r all'.",
            refused.Error,
            StringComparison.Ordinal);

        Assert.Contains("1 of 65537 snapshots are left", await _blk.SucceedAsync("check", "-r", "all", "@a.qcow2"), StringComparison.Ordinal);
        await _blk.SucceedAsync("resize", "@a.qcow2", "2M");
        Assert.Contains("one", await _blk.SucceedAsync("snapshot", "list", "@a.qcow2"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Info_shows_the_rest_of_an_image_whose_bitmaps_cannot_be_located()
    {
        DamagedImage image = await CreateAsync();
        await PutAsync(image.BitmapDirectory!.Value, [.. Enumerable.Repeat<byte>(0xff, 32)]);
        string damage = $"The entry of the bitmap directory at byte {image.BitmapDirectory!.Value} does not end in it; the image can be read, and must be repaired before it is written.";

        string text = await _blk.SucceedAsync("info", "@a.qcow2");

        Assert.Contains("Snapshot list:\n", text, StringComparison.Ordinal);
        Assert.EndsWith($"\ndamaged: {damage}\n", text, StringComparison.Ordinal);
        Assert.Equal([damage], await DamageInJsonAsync());
    }

    [Fact]
    public async Task Info_tells_which_bitmap_cannot_be_used()
    {
        DamagedImage image = await CreateAsync();
        await PutAsync(image.BitmapDirectory!.Value, [0, 0, 0, 0, 0, 0, 3, 9]);

        string damage = Assert.Single(await DamageInJsonAsync());

        Assert.Equal("Bitmap 'daily' cannot be used: its table of 8 bytes at byte 777 does not start at a cluster or does not end inside the file.", damage);
        Assert.EndsWith($"\ndamaged: {damage}\n", await _blk.SucceedAsync("info", "@a.qcow2"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Info_says_nothing_of_damage_where_there_is_none()
    {
        await CreateAsync();
        Assert.DoesNotContain("damage", await _blk.SucceedAsync("info", "@a.qcow2"), StringComparison.Ordinal);
        Assert.DoesNotContain("damage", await _blk.SucceedAsync("info", "--output", "json", "@a.qcow2"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("info @a.qcow2", 2)]
    [InlineData("snapshot list @a.qcow2", 1)]
    [InlineData("bitmap list @a.qcow2", 1)]
    public async Task Names_that_an_image_chose_do_not_reach_the_terminal_as_commands(string arguments, int names)
    {
        DamagedImage image = await CreateAsync();
        await PutAsync(image.Snapshots + SnapshotNameAt, "\e[m"u8.ToArray());
        await PutAsync(image.BitmapDirectory!.Value + BitmapNameAt, "\e[m"u8.ToArray());

        string text = await _blk.SucceedAsync(arguments.Split(' '));

        Assert.DoesNotContain('\e', text);
        Assert.Equal(names, text.Split(@"\x1b[m").Length - 1);
    }

    [Fact]
    public async Task The_name_of_a_data_file_does_not_reach_the_terminal_as_a_command()
    {
        await _blk.SucceedAsync("create", "-q", "-f", "qcow2", "-o", "data_file=d\e[m.raw", "@a.qcow2", "1M");
        Assert.Contains("    data file: d\\x1b[m.raw\n", await _blk.SucceedAsync("info", "@a.qcow2"), StringComparison.Ordinal);
    }

    public void Dispose() => _blk.Dispose();

    private async Task<DamagedImage> CreateAsync()
    {
        await _blk.SucceedAsync("create", "-q", "-f", "qcow2", "@a.qcow2", "1M");
        await _blk.SucceedAsync("snapshot", "create", "-q", "@a.qcow2", "one");
        await _blk.SucceedAsync("bitmap", "add", "@a.qcow2", "daily");
        return new DamagedImage(await File.ReadAllBytesAsync(_blk.Folder.File("a.qcow2")));
    }

    private async Task PutAsync(long position, byte[] bytes)
    {
        await using FileStream file = File.OpenWrite(_blk.Folder.File("a.qcow2"));
        file.Position = position;
        await file.WriteAsync(bytes);
    }

    private async Task<string[]> DamageInJsonAsync()
    {
        using JsonDocument info = JsonDocument.Parse(await _blk.SucceedAsync("info", "--output", "json", "@a.qcow2"));
        return [.. info.RootElement.GetProperty("damage").EnumerateArray().Select(static damage => damage.GetString()!)];
    }
}
