using Xunit;

namespace BlockLayer.Simulation.Tests.Crashes;

public class SectorOracleTests
{
    [Fact]
    public void A_write_that_was_withdrawn_may_show_nowhere()
    {
        var oracle = new SectorOracle(1024);
        byte[] kept = new byte[1024];
        oracle.Complete(oracle.BeginStampedWrite(0, kept));
        byte[] refused = new byte[1024];
        OracleRead before = oracle.BeginRead(0, 1024);
        OracleWrite write = oracle.BeginStampedWrite(0, refused);
        OracleRead meanwhile = oracle.BeginRead(0, 1024);
        oracle.Withdraw(write);
        OracleRead after = oracle.BeginRead(0, 1024);
        Assert.All([before, meanwhile, after], read =>
        {
            Assert.Throws<SectorOracleException>(() => oracle.CompleteRead(read, refused));
            oracle.CompleteRead(read, kept);
        });
        Assert.Throws<SectorOracleException>(() => oracle.Check(refused));
        oracle.Check(kept);
    }

    private const int Sector = 512;

    private readonly SectorOracle _oracle = new(4 * Sector);
    private readonly byte[] _zeroes = new byte[Sector];
    private readonly byte[] _elsewhere = new byte[4 * Sector]; // what the sectors hold that a test does not look at

    [Fact]
    public void Before_a_flush_old_and_new_values_are_allowed()
    {
        byte[] first = Write(0, out _);
        byte[] second = Write(0, out _);
        AssertAllowed(0, _zeroes, first, second);
        AssertRefused(0, GuestStamp.Create(0, Sector, 99));
    }

    [Fact]
    public void After_a_flush_only_the_last_value_is_allowed()
    {
        byte[] first = Write(0, out OracleWrite writeFirst);
        _oracle.Complete(writeFirst);
        byte[] second = Write(0, out OracleWrite writeSecond);
        _oracle.Complete(writeSecond);
        _oracle.CompleteFlush(_oracle.BeginFlush());
        AssertAllowed(0, second);
        AssertRefused(0, first, _zeroes);
        second.CopyTo(_elsewhere, 0);
        AssertAllowed(Sector, _zeroes);
    }

    [Fact]
    public void A_flush_promises_nothing_about_writes_that_completed_after_it_began()
    {
        byte[] first = Write(0, out OracleWrite write);
        long flush = _oracle.BeginFlush();
        _oracle.Complete(write);
        _oracle.CompleteFlush(flush);
        AssertAllowed(0, _zeroes, first);
    }

    [Fact]
    public void Writes_that_overlapped_in_time_may_end_in_either_order()
    {
        byte[] first = Write(0, out OracleWrite writeFirst);
        byte[] second = Write(0, out OracleWrite writeSecond);
        _oracle.Complete(writeSecond);
        _oracle.Complete(writeFirst);
        _oracle.CompleteFlush(_oracle.BeginFlush());
        AssertAllowed(0, first, second);
        AssertRefused(0, _zeroes);
    }

    [Fact]
    public void A_failed_write_may_have_taken_place_until_a_later_one_is_flushed()
    {
        byte[] failed = Write(0, out OracleWrite write);
        _oracle.Fail(write);
        _oracle.CompleteFlush(_oracle.BeginFlush());
        AssertAllowed(0, _zeroes, failed);
        byte[] later = Write(0, out OracleWrite laterWrite);
        _oracle.Complete(laterWrite);
        _oracle.CompleteFlush(_oracle.BeginFlush());
        AssertAllowed(0, later);
        AssertRefused(0, _zeroes, failed);
    }

    [Fact]
    public void A_discarded_sector_reads_as_before_or_as_zeroes_for_good()
    {
        byte[] value = Write(0, out OracleWrite write);
        _oracle.Complete(write);
        _oracle.Complete(_oracle.BeginDiscard(0, Sector));
        _oracle.CompleteFlush(_oracle.BeginFlush());
        AssertAllowed(0, value, _zeroes);
    }

    [Fact]
    public void Written_zeroes_are_a_value_like_any_other()
    {
        byte[] value = Write(0, out OracleWrite write);
        _oracle.Complete(write);
        _oracle.Complete(_oracle.BeginWriteZeroes(0, 2 * Sector));
        AssertAllowed(0, value, _zeroes);
        _oracle.CompleteFlush(_oracle.BeginFlush());
        AssertRefused(0, value);
    }

    [Fact]
    public void Forced_unit_access_makes_its_own_sectors_certain_and_no_others()
    {
        byte[] other = Write(Sector, out OracleWrite otherWrite);
        _oracle.Complete(otherWrite);
        byte[] forced = Write(0, out OracleWrite write);
        _oracle.CompleteDurably(write);
        AssertAllowed(0, forced);
        AssertRefused(0, _zeroes);
        forced.CopyTo(_elsewhere, 0);
        AssertAllowed(Sector, _zeroes, other);
    }

    [Fact]
    public void A_snapshot_stays_as_it_is()
    {
        SectorOracle before = _oracle.Snapshot();
        byte[] value = Write(0, out _);
        Assert.Throws<SectorOracleException>(() => before.Check(Disk(0, value)));
        before.Check(new byte[4 * Sector]);
    }

    [Fact]
    public void The_initial_content_is_the_first_promise()
    {
        byte[] initial = GuestStamp.Create(0, 2 * Sector, 7);
        var oracle = new SectorOracle(4 * Sector, initial);
        byte[] disk = new byte[4 * Sector];
        var error = Assert.Throws<SectorOracleException>(() => oracle.Check(disk));
        Assert.Equal("The sector at guest 0x0 holds zeroes after the crash; allowed is the initial content.", error.Message);
        initial.CopyTo(disk, 0);
        oracle.Check(disk);
    }

    [Fact]
    public void A_read_returns_the_last_write_or_one_that_was_in_flight_during_it()
    {
        byte[] first = Write(0, out OracleWrite writeFirst);
        _oracle.Complete(writeFirst);
        byte[] second = Write(0, out OracleWrite writeSecond);
        OracleRead read = _oracle.BeginRead(0, Sector);
        _oracle.Complete(writeSecond);
        byte[] third = Write(0, out _);
        foreach (byte[] value in new[] { first, second, third })
        {
            _oracle.CompleteRead(read, value);
        }

        Assert.Throws<SectorOracleException>(() => _oracle.CompleteRead(read, _zeroes));
        OracleRead later = _oracle.BeginRead(0, Sector);
        Assert.Throws<SectorOracleException>(() => _oracle.CompleteRead(later, first));
    }

    [Fact]
    public void A_read_may_return_what_was_written_and_overwritten_and_flushed_while_it_was_under_way()
    {
        OracleRead read = _oracle.BeginRead(0, Sector);
        byte[] first = Write(0, out OracleWrite writeFirst);
        _oracle.Complete(writeFirst);
        Write(0, out OracleWrite writeSecond);
        _oracle.Complete(writeSecond);
        _oracle.CompleteFlush(_oracle.BeginFlush());
        _oracle.CompleteRead(read, first);
        OracleRead later = _oracle.BeginRead(0, Sector);
        Assert.Throws<SectorOracleException>(() => _oracle.CompleteRead(later, first));
    }

    [Fact]
    public void A_wrong_sector_is_described_by_its_stamp()
    {
        Write(Sector, out OracleWrite write);
        _oracle.Complete(write);
        var error = Assert.Throws<SectorOracleException>(() => _oracle.Check(Disk(Sector, GuestStamp.Create(0, Sector, 5))));
        Assert.Equal(Sector, error.Offset);
        Assert.Equal(
            "The sector at guest 0x200 holds the stamp of writer 5 for offset 0x0 after the crash; allowed is the initial content or write 1 of [0x200, 0x400).",
            error.Message);
    }

    private byte[] Write(long offset, out OracleWrite write)
    {
        byte[] data = new byte[Sector];
        write = _oracle.BeginStampedWrite(offset, data);
        return data;
    }

    private void AssertAllowed(int offset, params byte[][] values)
        => Assert.All(values, value => _oracle.Check(Disk(offset, value)));

    private void AssertRefused(int offset, params byte[][] values)
        => Assert.All(values, value => Assert.Throws<SectorOracleException>(() => _oracle.Check(Disk(offset, value))));

    private byte[] Disk(int offset, byte[] value)
    {
        byte[] disk = [.. _elsewhere];
        value.CopyTo(disk, offset);
        return disk;
    }
}
