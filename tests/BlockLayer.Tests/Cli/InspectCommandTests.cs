using System.Text;
using System.Text.Json;
using BlockLayer.Cli;
using BlockLayer.Cli.Terminal;
using Xunit;

namespace BlockLayer.Tests.Cli;

public sealed class InspectCommandTests : IDisposable
{
    private readonly BlkRun _blk = new();

    public void Dispose() => _blk.Dispose();

    [Fact]
    public async Task A_safe_image_is_said_to_be_safe_with_what_was_read_of_it()
    {
        await _blk.SucceedAsync("create", "-f", "qcow2", "@a.qcow2", "1M");
        long length = new FileInfo(_blk.Folder.File("a.qcow2")).Length;
        string text = await _blk.SucceedAsync("inspect", "@a.qcow2");
        Assert.Matches(
            $"^file: @a.qcow2\nverdict: safe\nread as: qcow2\nvirtual size: 1 MiB \\(1048576 bytes\\)\nbytes read: [0-9]+ of {length}\nrecognised: qcow2 at byte 0\n$",
            text);
    }

    [Fact]
    public async Task A_reference_has_its_own_code_and_does_not_need_to_exist()
    {
        await _blk.SucceedAsync("create", "-f", "qcow2", "@base.qcow2", "1M");
        await _blk.SucceedAsync("create", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "@top.qcow2");
        File.Delete(_blk.Folder.File("base.qcow2"));
        BlkRun.Outcome outcome = await _blk.RunAsync("inspect", "@top.qcow2");
        Assert.Equal((ExitCode.Refused, ""), (outcome.Code, outcome.Error));
        Assert.Contains("verdict: references-other-files\n", outcome.Out, StringComparison.Ordinal);
        Assert.Contains("It names 'base.qcow2' as its backing file. Expected: no other file.\n", outcome.Out, StringComparison.Ordinal);

        outcome = await _blk.RunAsync("inspect", "--json", "@top.qcow2");
        Assert.Equal(ExitCode.Refused, outcome.Code);
        using var json = JsonDocument.Parse(outcome.Out);
        Assert.Equal("references-other-files", json.RootElement.GetProperty("verdict").GetString());
        JsonElement reference = json.RootElement.GetProperty("references")[0];
        Assert.Equal(("backing", "base.qcow2", "qcow2"), (Text(reference, "role"), Text(reference, "filename"), Text(reference, "format")));
        JsonElement reason = json.RootElement.GetProperty("reasons")[0];
        Assert.Equal(("backing_file_offset", "no other file"), (Text(reason, "field"), Text(reason, "expected")));
        Assert.True(reason.GetProperty("offset").GetInt64() > 0);
        Assert.True(json.RootElement.GetProperty("bytes-read").GetInt64() > 0);
    }

    [Theory]
    [InlineData("not an image at all", null, ExitCode.InspectNotAnImage)]
    [InlineData("not an image at all", "raw", ExitCode.Success)]
    [InlineData("not an image at all", "qcow2", ExitCode.InspectNotAnImage)]
    [InlineData("QFI\u00fb\0\0\0\u0003", null, ExitCode.InspectDamaged)]
    [InlineData("QFI\u00fb\0\0\0\u0001", null, ExitCode.InspectUnsupported)]
    [InlineData("vhdxfile", null, ExitCode.InspectUnsupported)]
    [InlineData("vhdxfile", "raw", ExitCode.InspectUnsupported)]
    public async Task Every_verdict_has_its_code(string content, string? format, int code)
    {
        await File.WriteAllBytesAsync(_blk.Folder.File("upload"), Encoding.Latin1.GetBytes(content));
        string[] declared = format is null ? [] : ["-f", format];
        Assert.Equal(code, (await _blk.RunAsync(["inspect", .. declared, "@upload"])).Code);
    }

    [Fact]
    public async Task A_file_that_is_not_there_is_a_failure()
    {
        BlkRun.Outcome outcome = await _blk.RunAsync("inspect", "@missing");
        Assert.Equal((ExitCode.Failure, ""), (outcome.Code, outcome.Out));
        Assert.StartsWith("blk: @missing: ", outcome.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_name_in_an_image_cannot_speak_to_the_terminal()
    {
        await _blk.SucceedAsync("create", "-f", "qcow2", "@top.qcow2", "1M");
        string name = "a\u001b[2Jb";
        byte[] file = await File.ReadAllBytesAsync(_blk.Folder.File("top.qcow2"));
        Encoding.UTF8.GetBytes(name).CopyTo(file.AsSpan(1000));
        file[14] = 1000 >> 8;
        file[15] = 1000 & 0xff;
        file[19] = (byte)name.Length;
        await File.WriteAllBytesAsync(_blk.Folder.File("top.qcow2"), file);

        foreach (string command in new[] { "inspect", "info", "map" })
        {
            BlkRun.Outcome outcome = await _blk.RunAsync(command, "@top.qcow2");
            Assert.Contains("a\\x1b[2Jb", outcome.Out + outcome.Error, StringComparison.Ordinal);
            Assert.DoesNotContain('\u001b', outcome.Out + outcome.Error);
        }
    }

    [Theory]
    [InlineData("plain ü 漢", "plain ü 漢")]
    [InlineData("\u001b[2J", "\\x1b[2J")]
    [InlineData("a\r\nb", "a\\x0d\\x0ab")]
    [InlineData("a\u202eb\u2028c", "a\\u202eb\\u2028c")]
    public void What_is_not_to_be_seen_is_written_as_a_number(string text, string printable) => Assert.Equal(printable, PrintableText.Of(text));

    private static string? Text(JsonElement element, string name) => element.GetProperty(name).GetString();
}
