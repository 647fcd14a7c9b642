using BlockLayer.Cli;
using Xunit;

namespace BlockLayer.Tests.Cli;

/// <summary>Encrypted images on the command line: the passphrase comes from a file and is never shown.</summary>
public sealed class PassphraseFileTests : IDisposable
{
    private readonly BlkRun _blk = new();

    public PassphraseFileTests()
    {
        File.WriteAllText(_blk.Folder.File("secret"), "correct horse");
        File.WriteAllText(_blk.Folder.File("other"), "battery staple");
        File.WriteAllBytes(_blk.Folder.File("raw"), [.. Enumerable.Range(0, 200_704).Select(i => (byte)(i >> 9))]);
    }

    public void Dispose() => _blk.Dispose();

    [Fact]
    public async Task A_disk_goes_into_an_encrypted_image_and_out_of_it_into_another()
    {
        await _blk.SucceedAsync("convert", "-f", "raw", "-O", "qcow2", "-o", "encrypt.format=luks,encrypt.iterations=1000", "--passphrase-file", "@secret", "@raw", "@one");
        Assert.Equal(
            "Images are identical.\n", await _blk.SucceedAsync("compare", "-f", "qcow2", "-F", "raw", "--passphrase-file", "@secret", "@one", "@raw"));
        await _blk.SucceedAsync(
            "convert", "-f", "qcow2", "-O", "qcow2", "-o", "encrypt.format=luks,encrypt.iterations=1000", "--passphrase-file", "@one=@secret", "--passphrase-file", "@two=@other", "@one", "@two");
        Assert.Equal(
            "Images are identical.\n",
            await _blk.SucceedAsync("compare", "-f", "qcow2", "-F", "qcow2", "--passphrase-file", "@one=@secret", "--passphrase-file", "@two=@other", "@one", "@two"));
    }

    [Fact]
    public async Task Looking_at_an_encrypted_image_needs_no_passphrase_and_reading_it_does()
    {
        await _blk.SucceedAsync("create", "-f", "qcow2", "-o", "encrypt.format=luks,encrypt.iterations=1000", "--passphrase-file", "@secret", "@disk", "1M");
        Assert.Contains("encrypted: yes", await _blk.SucceedAsync("info", "@disk"), StringComparison.Ordinal);
        await _blk.SucceedAsync("check", "@disk");
        await _blk.SucceedAsync("map", "@disk");
        await _blk.SucceedAsync("convert", "-n", "-f", "raw", "-O", "qcow2", "--passphrase-file", "@secret", "@raw", "@disk");
        BlkRun.Outcome refused = await _blk.RunAsync("convert", "-f", "qcow2", "@disk", "@out");
        Assert.Equal(ExitCode.Failure, refused.Code);
        Assert.Contains("'@disk' is encrypted (LUKS) and was opened without its passphrase", refused.Error, StringComparison.Ordinal);
        BlkRun.Outcome resized = await _blk.RunAsync("resize", "@disk", "+512");
        Assert.Contains("'@disk' is encrypted (LUKS) and was opened without its passphrase", resized.Error, StringComparison.Ordinal);
        await _blk.SucceedAsync("resize", "--passphrase-file", "@secret", "@disk", "+512");
        BlkRun.Outcome wrong = await _blk.RunAsync("convert", "-f", "qcow2", "--passphrase-file", "@other", "@disk", "@out");
        Assert.Equal(ExitCode.Failure, wrong.Code);
        Assert.Contains("No key slot of the LUKS header opens with the passphrase that was given.", wrong.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("staple", wrong.Error, StringComparison.Ordinal);
    }

    // The overlay itself is not encrypted: it is what lies below that cannot be read.
    [Theory]
    [InlineData("@disk")]
    [InlineData("@overlay")]
    public async Task A_target_is_not_touched_for_a_source_that_cannot_be_read(string source)
    {
        await _blk.SucceedAsync("convert", "-f", "raw", "-O", "qcow2", "-o", "encrypt.format=luks,encrypt.iterations=1000", "--passphrase-file", "@secret", "@raw", "@disk");
        await _blk.SucceedAsync("create", "-f", "qcow2", "-b", "disk", "-F", "qcow2", "@overlay");
        byte[] precious = new byte[200_704];
        precious.AsSpan().Fill(7);
        await File.WriteAllBytesAsync(_blk.Folder.File("precious"), precious);
        BlkRun.Outcome refused = await _blk.RunAsync("convert", "-f", "qcow2", "-O", "raw", source, "@precious");
        Assert.Equal(ExitCode.Failure, refused.Code);
        Assert.Contains("'@disk' is encrypted (LUKS) and was opened without its passphrase", refused.Error, StringComparison.Ordinal);
        Assert.Equal(precious, await File.ReadAllBytesAsync(_blk.Folder.File("precious")));
    }

    [Fact]
    public async Task A_passphrase_file_that_cannot_be_one_is_refused()
    {
        File.WriteAllBytes(_blk.Folder.File("empty"), []);
        BlkRun.Outcome empty = await _blk.RunAsync("convert", "-f", "qcow2", "--passphrase-file", "@empty", "@raw", "@out");
        Assert.Contains("The passphrase file '@empty' has 0 bytes; it can have 1 to 65536, all of which are the passphrase.", empty.Error, StringComparison.Ordinal);
        BlkRun.Outcome twice = await _blk.RunAsync("convert", "-f", "qcow2", "--passphrase-file", "@secret", "--passphrase-file", "@other", "@raw", "@out");
        Assert.Contains("--passphrase-file is given twice for every image", twice.Error, StringComparison.Ordinal);
        BlkRun.Outcome unused = await _blk.RunAsync("create", "-f", "qcow2", "--passphrase-file", "@secret", "@disk", "1M");
        Assert.Contains("--passphrase-file alone encrypts nothing; say how: -o encrypt.format=luks.", unused.Error, StringComparison.Ordinal);
        Assert.False(File.Exists(_blk.Folder.File("disk")));
    }
}
