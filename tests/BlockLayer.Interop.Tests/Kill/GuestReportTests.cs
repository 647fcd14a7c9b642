using BlockLayer.KillHost;
using BlockLayer.Simulation;
using Xunit;

namespace BlockLayer.Interop.Tests.Kill;

/// <summary>What a killed guest reported is held against the disk: were it not, the kill tests would prove nothing.</summary>
public sealed class GuestReportTests
{
    private const int Length = 4096;

    private static readonly string[] s_lines = ["write 1 512 1024", "done 1", "flush 2", "flushed 2", "write 3 512 512", GuestRun.Told, Report.Stopped];

    [Fact]
    public void A_flushed_write_that_is_there_is_accepted() => new GuestReport(new byte[Length], s_lines).Check(DiskWith(firstSectorBy: 1, secondSectorBy: 1));

    [Fact]
    public void A_later_write_that_nobody_acknowledged_may_be_there_instead()
        => new GuestReport(new byte[Length], s_lines).Check(DiskWith(firstSectorBy: 3, secondSectorBy: 1));

    [Fact]
    public void A_flushed_write_that_is_missing_is_noticed()
        => Assert.Throws<SectorOracleException>(() => new GuestReport(new byte[Length], s_lines).Check(DiskWith(firstSectorBy: 1, secondSectorBy: null)));

    [Fact]
    public void A_write_that_was_not_flushed_may_be_missing()
        => new GuestReport(new byte[Length], s_lines[..3]).Check(new byte[Length]);

    [Fact]
    public void Bytes_that_nobody_wrote_are_noticed()
        => Assert.Throws<SectorOracleException>(() => new GuestReport(new byte[Length], s_lines).Check(DiskWith(firstSectorBy: 2, secondSectorBy: 1)));

    private static byte[] DiskWith(long firstSectorBy, long? secondSectorBy)
    {
        byte[] disk = new byte[Length];
        GuestStamp.Fill(disk.AsSpan(512, 512), 512, firstSectorBy);
        if (secondSectorBy is { } writer)
        {
            GuestStamp.Fill(disk.AsSpan(1024, 512), 1024, writer);
        }

        return disk;
    }
}
