using System.Diagnostics;
using BlockLayer.Cli;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Cli;

/// <summary>What only a real process shows: descriptors, signals, exit codes.</summary>
public sealed class BlkProcessTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly string _blk = Path.Combine(AppContext.BaseDirectory, "blk");

    public BlkProcessTests() => Assert.SkipUnless(OperatingSystem.IsLinux(), "sends signals by kill(1)");

    [Fact]
    public async Task Two_commands_write_one_after_the_other_into_one_file()
    {
        await (await Disk.CreateAsync(_folder.File("a"), new NewImage { Format = "raw", Length = 512 })).DisposeAsync();
        await (await Disk.CreateAsync(_folder.File("b"), new NewImage { Format = "raw", Length = 1024 })).DisposeAsync();
        using Process shell = Start("/bin/sh", "-c", $"cd '{_folder.Path}'; ('{_blk}' info -f raw a; '{_blk}' info -f raw b) > out");
        await shell.WaitForExitAsync();
        string[] images = [.. File.ReadLines(_folder.File("out")).Where(line => line.StartsWith("image: ", StringComparison.Ordinal))];
        Assert.Equal(["image: a", "image: b"], images);
    }

    [Fact]
    public async Task A_reader_that_goes_away_ends_the_command_with_a_sentence()
    {
        using Process shell = Start("/bin/sh", "-c", $"('{_blk}' help convert; echo $? >&2) | true");
        string error = await shell.StandardError.ReadToEndAsync();
        Assert.True(error is "0\n" || error == "blk: the output cannot be written: Broken pipe\n1\n", error);
    }

    [Fact]
    public async Task A_terminal_of_unknown_width_shows_the_line_and_is_left_as_it_was()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/script"), "script(1) makes a terminal, of no size");
        using Process terminal = Start("/usr/bin/script", "-qec", $"'{_blk}' simulate --seeds 1 --disks 1 --requests 1 --crashes 0", "/dev/null");
        terminal.StandardInput.Close();
        string shown = await terminal.StandardOutput.ReadToEndAsync();
        await terminal.WaitForExitAsync();
        Assert.Equal(ExitCode.Success, terminal.ExitCode);
        Assert.Contains("\r\x1b[Kseed 1: ", shown, StringComparison.Ordinal);
        Assert.DoesNotContain("\x1b", shown.Replace("\x1b[K", "", StringComparison.Ordinal), StringComparison.Ordinal);
    }

    // 1 would say that the images differ.
    [Fact]
    public async Task An_answer_that_cannot_be_written_is_a_failure_by_the_code_of_its_command()
    {
        await (await Disk.CreateAsync(_folder.File("a"), new NewImage { Format = "raw", Length = 512 })).DisposeAsync();
        using Process shell = Start("/bin/sh", "-c", $"cd '{_folder.Path}'; '{_blk}' compare -f raw -F raw a a > /dev/full");
        Assert.Equal("blk: the output cannot be written: No space left on device\n", await shell.StandardError.ReadToEndAsync());
        await shell.WaitForExitAsync();
        Assert.Equal(ExitCode.CompareFailure, shell.ExitCode);
    }

    [Theory]
    [InlineData("-INT")]
    [InlineData("-TERM")]
    public async Task A_signal_stops_a_pull_cleanly_and_the_next_run_completes_it(string signal)
    {
        string template = await CreateAsync("template", backing: null, offset: 0, writer: 1);
        string intermediate = await CreateAsync("intermediate", template, offset: 8 << 20, writer: 2);
        string current = await CreateAsync("current", intermediate, offset: 12 << 20, writer: 3);
        using (Process pull = Start(_blk, "pull", current, "--base", template, "--bandwidth", "256K", "--progress"))
        {
            Assert.NotNull(await pull.StandardError.ReadLineAsync()); // it is copying
            using Process kill = Start("kill", signal, $"{pull.Id}");
            string error = await pull.StandardError.ReadToEndAsync();
            await pull.WaitForExitAsync();
            Assert.Equal(ExitCode.Interrupted, pull.ExitCode);
            Assert.Matches("interrupted with .* of 1 MiB copied. Run the same command again to go on from there.\n$", error);
        }

        using (Process pull = Start(_blk, "pull", current, "--base", template))
        {
            Assert.Matches("^Copied .*The chain is now .*template <- .*current.\n$", await pull.StandardOutput.ReadToEndAsync());
            await pull.WaitForExitAsync();
            Assert.Equal(ExitCode.Success, pull.ExitCode);
        }

        await using Disk disk = await Disk.OpenAsync(current, new DiskOptions { Access = NodeAccess.ReadOnly });
        byte[] copied = new byte[1 << 20];
        await disk.ReadAsync(8 << 20, copied);
        Assert.Equal(Pattern.Of(8 << 20, 1 << 20, writer: 2), copied);
    }

    public void Dispose() => _folder.Dispose();

    private static Process Start(string program, params string[] arguments)
        => Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true })!;

    private async Task<string> CreateAsync(string name, string? backing, int offset, int writer)
    {
        string path = _folder.File(name);
        BackingReference? reference = backing is null ? null : new BackingReference(Path.GetFileName(backing), "qcow2");
        var image = new NewImage { Format = "qcow2", Length = 16 << 20, Backing = reference };
        await using Disk disk = await Disk.CreateAsync(path, image);
        await disk.WriteAsync(offset, Pattern.Of(offset, 1 << 20, writer));
        return path;
    }
}
