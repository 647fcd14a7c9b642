using BlockLayer.Cli;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Cli;

/// <summary>Every offline command over raw images: the plainest input, so what is shown is the command and not the format.</summary>
public sealed class RawImageCommandTests : IDisposable
{
    private const int Length = 1 << 20;

    private readonly BlkRun _blk = new();

    [Fact]
    public async Task Create_says_what_it_created()
    {
        Assert.Equal("Created @a.raw: raw, 10 MiB (10485760 bytes).\n", await _blk.SucceedAsync("create", "@a.raw", "10M"));
        Assert.Equal(10 << 20, new FileInfo(_blk.Folder.File("a.raw")).Length);
        Assert.Equal("", await _blk.SucceedAsync("create", "-q", "-f", "raw", "@a.raw", "1.5K"));
        Assert.Equal(1536, new FileInfo(_blk.Folder.File("a.raw")).Length);
    }

    [Fact]
    public async Task Info_describes_the_image()
    {
        await _blk.SucceedAsync("create", "@a.raw", "10M");
        const string Text = "image: @a.raw\nfile format: raw\nvirtual size: 10 MiB (10485760 bytes)\ndisk size: 0 B\n";
        const string Json = """
            {
                "virtual-size": 10485760,
                "filename": "@a.raw",
                "format": "raw",
                "actual-size": 0,
                "dirty-flag": false
            }

            """;
        Assert.Equal(Text, await _blk.SucceedAsync("info", "-f", "raw", "@a.raw"));
        Assert.Equal(Json, await _blk.SucceedAsync("info", "-f", "raw", "--output=json", "@a.raw"));
    }

    [Fact]
    public async Task An_image_without_magic_has_to_be_called_raw()
    {
        await _blk.SucceedAsync("create", "@a.raw", "10M");
        BlkRun.Outcome outcome = await _blk.RunAsync("info", "@a.raw");
        Assert.Equal(ExitCode.Failure, outcome.Code);
        Assert.Equal(
            "blk: @a.raw: It does not start with the magic of a known format, and raw is never guessed; if it is a raw disk, say so (-f raw).\n",
            outcome.Error);
        Assert.StartsWith("image: @a.raw\nfile format: raw\n", await _blk.SucceedAsync("info", "--trust", "@a.raw"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_window_of_a_file_is_a_raw_disk_too()
    {
        await WriteAsync("a.raw", 65536, 131072);
        await _blk.SucceedAsync("convert", "-f", "raw,offset=64k,size=128k", "-O", "qcow2", "@a.raw", "@b.qcow2");
        string[] compare = ["compare", "-f", "raw,offset=64k,size=128k", "-F", "qcow2", "@a.raw", "@b.qcow2"];
        Assert.Contains("virtual size: 128 KiB (131072 bytes)", await _blk.SucceedAsync("info", "-f", "raw,offset=64k,size=128k", "@a.raw"), StringComparison.Ordinal);
        await _blk.SucceedAsync(compare);

        Assert.Equal(
            "blk info: Format raw has no option 'start' to open an image with; it has offset and size. See blk help info.\n",
            (await _blk.RunAsync("info", "-f", "raw,start=1", "@a.raw")).Error);
        Assert.Equal("blk info: -f takes name=value pairs, not '64k'. See blk help info.\n", (await _blk.RunAsync("info", "-f", "raw,64k", "@a.raw")).Error);
    }

    [Fact]
    public async Task Create_takes_the_room_it_is_told_to()
    {
        await _blk.SucceedAsync("create", "-o", "preallocation=full", "@a.raw", "1M");
        await _blk.SucceedAsync("create", "-f", "qcow2", "-o", "preallocation=falloc,extended_l2=on", "@b.qcow2", "1M");
        Assert.Contains("disk size: 1 MiB\n", await _blk.SucceedAsync("info", "-f", "raw", "@a.raw"), StringComparison.Ordinal);
        Assert.Contains("disk size: 1.", await _blk.SucceedAsync("info", "@b.qcow2"), StringComparison.Ordinal);
        Assert.Equal(
            "blk create: preallocation is 'metadata'; it can be off or falloc or full. See blk help create.\n",
            (await _blk.RunAsync("create", "-o", "preallocation=metadata", "@a.raw", "1M")).Error);
    }

    [Fact]
    public async Task Map_shows_data_as_a_table_and_everything_as_json()
    {
        await WriteAsync("a.raw", 65536, 131072);
        const string Table = "Offset          Length          Mapped to       File\n0x10000         0x20000         0x10000         @a.raw\n";
        const string Json = """
            [{ "start": 0, "length": 65536, "depth": 0, "present": true, "zero": true, "data": false, "compressed": false, "offset": 0},
            { "start": 65536, "length": 131072, "depth": 0, "present": true, "zero": false, "data": true, "compressed": false, "offset": 65536},
            { "start": 196608, "length": 851968, "depth": 0, "present": true, "zero": true, "data": false, "compressed": false, "offset": 196608}]

            """;
        Assert.Equal(Table, await _blk.SucceedAsync("map", "-f", "raw", "@a.raw"));
        Assert.Equal(Json, await _blk.SucceedAsync("map", "-f", "raw", "--output", "json", "@a.raw"));
        Assert.Equal(
            "[{ \"start\": 70000, \"length\": 512, \"depth\": 0, \"present\": true, \"zero\": false, \"data\": true, \"compressed\": false, \"offset\": 70000}]\n",
            await _blk.SucceedAsync("map", "-f", "raw", "--output", "json", "-s", "70000", "-l", "512", "@a.raw"));
    }

    [Fact]
    public async Task Compare_tells_by_its_code_what_it_found()
    {
        await WriteAsync("a.raw", 65536, 1000);
        await WriteAsync("same.raw", 65536, 1000);
        await WriteAsync("other.raw", 65536, 999);
        await _blk.SucceedAsync("create", "@long.raw", "2M");
        string[] formats = ["compare", "-f", "raw", "-F", "raw", "@a.raw"];
        Assert.Equal(new BlkRun.Outcome(0, "Images are identical.\n", ""), await _blk.RunAsync([.. formats, "@same.raw"]));
        Assert.Equal(new BlkRun.Outcome(1, "Content mismatch at offset 66535!\n", ""), await _blk.RunAsync([.. formats, "@other.raw"]));
        Assert.Equal(new BlkRun.Outcome(1, "", ""), await _blk.RunAsync([.. formats, "-q", "@other.raw"]));
        Assert.Equal(
            new BlkRun.Outcome(1, "Warning: Image size mismatch!\nContent mismatch at offset 65536!\n", ""),
            await _blk.RunAsync([.. formats, "@long.raw"]));
        Assert.Equal(new BlkRun.Outcome(1, "Strict mode: Image size mismatch!\n", ""), await _blk.RunAsync([.. formats, "-s", "@long.raw"]));
        Assert.Equal(ExitCode.CompareFailure, (await _blk.RunAsync([.. formats, "@absent.raw"])).Code);
    }

    [Fact]
    public async Task Convert_copies_and_leaves_holes()
    {
        await WriteAsync("a.raw", 65536, 131072);
        Assert.Equal("", await _blk.SucceedAsync("convert", "-f", "raw", "-O", "raw", "@a.raw", "@b.raw"));
        Assert.Equal("Images are identical.\n", await _blk.SucceedAsync("compare", "-s", "-f", "raw", "-F", "raw", "@a.raw", "@b.raw"));
    }

    [Fact]
    public async Task A_failed_conversion_leaves_no_target()
    {
        await WriteAsync("a.raw", 0, 1000);
        BlkRun.Outcome outcome = await _blk.RunAsync("convert", "-f", "raw", "blkdebug:read,error=io:@a.raw", "@b.raw");
        Assert.Equal(new BlkRun.Outcome(1, "", "blk: @a.raw: A planned Io failure of Read on '@a.raw'.\n"), outcome);
        Assert.False(File.Exists(_blk.Folder.File("b.raw")));
    }

    [Fact]
    public async Task A_target_that_cannot_be_compressed_is_refused_before_it_is_touched()
    {
        await WriteAsync("a.raw", 0, 1000);
        await WriteAsync("b.raw", 0, 2000);
        byte[] before = File.ReadAllBytes(_blk.Folder.File("b.raw"));
        BlkRun.Outcome outcome = await _blk.RunAsync("convert", "-c", "-f", "raw", "@a.raw", "@b.raw");
        Assert.Equal(new BlkRun.Outcome(1, "", "blk: @b.raw: This raw image cannot store compressed data; qcow2 can, unless it is encrypted or has a data file.\n"), outcome);
        Assert.Equal(before, File.ReadAllBytes(_blk.Folder.File("b.raw")));
    }

    [Fact]
    public async Task An_interrupted_creation_leaves_no_file_and_says_so()
    {
        using var console = new RecordingConsole();
        console.Interrupt();
        BlkRun.Outcome outcome = await _blk.RunAsync(console, "create", "-o", "preallocation=full", "@a.raw", "1M");
        Assert.Equal(new BlkRun.Outcome(ExitCode.Interrupted, "", "blk create: interrupted.\n"), outcome);
        Assert.False(File.Exists(_blk.Folder.File("a.raw")));
    }

    [Fact]
    public async Task Who_trusts_an_image_already_is_not_told_to()
    {
        await _blk.SucceedAsync("create", "-f", "qcow2", "-u", "-b", "nbd:host", "-F", "raw", "@a.qcow2", "1M");
        string refusal = "blk: @a.qcow2: '@a.qcow2' names 'nbd:host' (raw) as its backing file, which was not opened. Only plain file names are opened, no 'nbd:' references.";
        Assert.Equal(new BlkRun.Outcome(ExitCode.Refused, "", $"{refusal}\n"), await _blk.RunAsync("map", "--trust", "@a.qcow2"));
        Assert.StartsWith($"{refusal} Use --allow DIR", (await _blk.RunAsync("map", "@a.qcow2")).Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_interrupted_conversion_leaves_no_target_and_says_so()
    {
        await WriteAsync("a.raw", 0, Length);
        using var console = new RecordingConsole();
        console.Interrupt();
        BlkRun.Outcome outcome = await _blk.RunAsync(console, "convert", "-f", "raw", "@a.raw", "@b.raw");
        Assert.Equal(new BlkRun.Outcome(ExitCode.Interrupted, "", "blk convert: interrupted.\n"), outcome);
        Assert.False(File.Exists(_blk.Folder.File("b.raw")));
    }

    [Fact]
    public async Task Raw_images_have_nothing_to_check()
    {
        await _blk.SucceedAsync("create", "@a.raw", "1M");
        Assert.Equal(
            new BlkRun.Outcome(ExitCode.CheckUnsupported, "", "blk: @a.raw: Format raw has nothing to check.\n"),
            await _blk.RunAsync("check", "-f", "raw", "@a.raw"));
    }

    [Fact]
    public async Task An_image_in_use_is_refused_with_its_own_code()
    {
        await _blk.SucceedAsync("create", "@a.raw", "1M");
        await using Disk user = await Disk.OpenAsync(_blk.Folder.File("a.raw"), new DiskOptions { Format = "raw" });
        BlkRun.Outcome outcome = await _blk.RunAsync("create", "@a.raw", "2M");
        Assert.Equal(ExitCode.InUse, outcome.Code);
        Assert.StartsWith("blk: @a.raw: ", outcome.Error, StringComparison.Ordinal);
        Assert.EndsWith("Wait until the other user is done, or close it.\n", outcome.Error, StringComparison.Ordinal);
        Assert.Equal(1 << 20, new FileInfo(_blk.Folder.File("a.raw")).Length);
    }

    [Fact]
    public async Task An_image_in_use_can_be_looked_at_and_the_error_says_how()
    {
        await _blk.SucceedAsync("create", "@a.raw", "1M");
        await using Disk user = await Disk.OpenAsync(_blk.Folder.File("a.raw"), new DiskOptions { Format = "raw" });
        BlkRun.Outcome outcome = await _blk.RunAsync("info", "-f", "raw", "@a.raw");
        Assert.Equal(ExitCode.InUse, outcome.Code);
        Assert.EndsWith("Wait until the other user is done, or use -U to look at it meanwhile.\n", outcome.Error, StringComparison.Ordinal);
        await _blk.SucceedAsync("info", "-U", "-f", "raw", "@a.raw");
    }

    [Fact]
    public async Task A_file_too_damaged_to_be_checked_does_not_send_the_user_to_check_again()
    {
        await _blk.SucceedAsync("create", "-f", "qcow2", "@cut.qcow2", "1M");
        await using (FileStream file = File.OpenWrite(_blk.Folder.File("cut.qcow2")))
        {
            file.SetLength(70_000);
        }

        Assert.EndsWith("'blk check @cut.qcow2' tells how much is damaged.\n", (await _blk.RunAsync("info", "@cut.qcow2")).Error, StringComparison.Ordinal);
        BlkRun.Outcome outcome = await _blk.RunAsync("check", "@cut.qcow2");
        Assert.Equal(ExitCode.Failure, outcome.Code);
        Assert.EndsWith("It is too damaged to be checked: get the file again from where it came.\n", outcome.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_image_in_use_can_be_looked_at_when_asked_to()
    {
        await _blk.SucceedAsync("create", "@a.raw", "1M");
        await using Disk user = await Disk.OpenAsync(_blk.Folder.File("a.raw"), new DiskOptions { Format = "raw" });
        Assert.Equal(ExitCode.InUse, (await _blk.RunAsync("info", "-f", "raw", "@a.raw")).Code);
        Assert.StartsWith("image: @a.raw\n", await _blk.SucceedAsync("info", "-U", "-f", "raw", "@a.raw"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("blk: @absent.raw: Open failed: No such file or directory. Check the name and the directory.\n", "info", "@absent.raw")]
    [InlineData("blk: @a.raw: magic is 0x00000000 at byte 0; expected is 0x514649fb. Say another format, or none to have it recognised.\n", "info", "-f", "qcow2", "@a.raw")]
    [InlineData("blk: @a.raw: 'vmdk' is no known image format; known are qcow2, qed, add-cow, raw.\n", "info", "-f", "vmdk", "@a.raw")]
    [InlineData("blk: @: The file is a directory; allowed are regular files and block devices.\n", "info", "@")]
    public async Task An_error_is_one_line_that_names_the_file_and_what_to_do(string line, params string[] arguments)
    {
        await _blk.SucceedAsync("create", "-q", "@a.raw", "1M");
        Assert.Equal(new BlkRun.Outcome(ExitCode.Failure, "", line), await _blk.RunAsync(arguments));
    }

    [Fact]
    public async Task Progress_is_printed_as_lines_when_asked_for_and_nobody_watches()
    {
        await WriteAsync("a.raw", 0, Length);
        BlkRun.Outcome outcome = await _blk.RunAsync("convert", "-p", "-f", "raw", "@a.raw", "@b.raw");
        Assert.StartsWith("  0.0 %  0 B of 1 MiB\n", outcome.Error, StringComparison.Ordinal);
        Assert.Contains("100.0 %  1 MiB of 1 MiB", outcome.Error, StringComparison.Ordinal);
    }

    public void Dispose() => _blk.Dispose();

    private async Task WriteAsync(string name, int offset, int length)
    {
        await using Disk disk = await Disk.CreateAsync(_blk.Folder.File(name), new NewImage { Format = "raw", Length = Length });
        await disk.WriteAsync(offset, Pattern.Of(offset, length, writer: 1));
    }
}
