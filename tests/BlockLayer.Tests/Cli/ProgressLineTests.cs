using BlockLayer.Cli.Terminal;
using BlockLayer.Primitives;
using Xunit;

namespace BlockLayer.Tests.Cli;

public sealed class ProgressLineTests : IDisposable
{
    private const long MiB = 1 << 20;

    private readonly ManualTime _time = new();
    private readonly StringWriter _writer = new() { NewLine = "\n" };

    [Fact]
    public void A_bar_is_redrawn_in_place_and_wiped_at_the_end()
    {
        using (var line = new ProgressLine(_writer, _time, ProgressStyle.Bar, () => 100))
        {
            line.Report(new ByteProgress(0, 100 * MiB));
            _time.Advance(TimeSpan.FromSeconds(2));
            line.Report(new ByteProgress(50 * MiB, 100 * MiB));
            line.Report(new ByteProgress(51 * MiB, 100 * MiB)); // too soon to be drawn
            _time.Advance(TimeSpan.FromSeconds(2));
            line.Report(new ByteProgress(100 * MiB, 100 * MiB));
        }

        Assert.Equal(
            "\r\x1b[K[##########..........]  50.0 %  50 MiB of 100 MiB  25 MiB/s  0:00:02 left"
            + "\r\x1b[K[####################] 100.0 %  100 MiB of 100 MiB  25 MiB/s  0:00:00 left"
            + "\r\x1b[K",
            _writer.ToString());
    }

    [Theory]
    [InlineData(74, "[##########..........]  50.0 %  50 MiB of 100 MiB  25 MiB/s  0:00:02 left")]
    [InlineData(60, "[###...]  50.0 %  50 MiB of 100 MiB  25 MiB/s  0:00:02 left")]
    [InlineData(50, " 50.0 %  50 MiB of 100 MiB  25 MiB/s  0:00:02 lef")]
    [InlineData(10, " 50.0 %  ")]
    [InlineData(0, "")]
    public void A_bar_never_fills_the_last_column_of_a_narrow_terminal(int columns, string drawn)
    {
        using var line = new ProgressLine(_writer, _time, ProgressStyle.Bar, () => columns);
        line.Report(new ByteProgress(0, 100 * MiB));
        _time.Advance(TimeSpan.FromSeconds(2));
        line.Report(new ByteProgress(50 * MiB, 100 * MiB));
        Assert.Equal("\r\x1b[K" + drawn, _writer.ToString());
        Assert.True(drawn.Length <= Math.Max(columns - 1, 0), "a line that fits");
    }

    [Fact]
    public void Quick_work_draws_no_bar()
    {
        using (var line = new ProgressLine(_writer, _time, ProgressStyle.Bar, () => 100))
        {
            line.Report(new ByteProgress(0, 100));
            _time.Advance(TimeSpan.FromMilliseconds(400));
            line.Report(new ByteProgress(100, 100));
        }

        Assert.Equal("", _writer.ToString());
    }

    [Fact]
    public void What_was_done_before_counts_for_the_share_but_not_for_the_speed()
    {
        using var line = new ProgressLine(_writer, _time, ProgressStyle.Lines, () => 100);
        line.Report(new ByteProgress(80 * MiB, 100 * MiB));
        _time.Advance(TimeSpan.FromSeconds(1));
        line.Report(new ByteProgress(90 * MiB, 100 * MiB));
        Assert.Equal(" 80.0 %  80 MiB of 100 MiB\n 90.0 %  90 MiB of 100 MiB  10 MiB/s  0:00:01 left\n", _writer.ToString());
    }

    [Fact]
    public void Plain_lines_come_once_for_every_tenth()
    {
        using var line = new ProgressLine(_writer, _time, ProgressStyle.Lines, () => 100);
        for (int done = 0; done <= 1000; done++)
        {
            line.Report(new ByteProgress(done, 1000));
        }

        Assert.Equal(11, _writer.ToString().Count(character => character == '\n'));
    }

    [Fact]
    public void Quiet_is_quiet()
    {
        using (var line = new ProgressLine(_writer, _time, ProgressStyle.None, () => 100))
        {
            _time.Advance(TimeSpan.FromHours(1));
            line.Report(new ByteProgress(5, 10));
        }

        Assert.Equal("", _writer.ToString());
    }

    public void Dispose() => _writer.Dispose();
}
