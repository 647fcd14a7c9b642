using BlockLayer.Primitives;

namespace BlockLayer.Simulation;

/// <summary>
/// The promise a disk makes to its guest, sector by sector. After a crash a 512-byte sector holds the last value that was flushed or any value written
/// since, acknowledged or not, and nothing else; reading it is no error. While the disk runs, a read returns the last completed write or one that was in
/// flight during the read.
/// </summary>
/// <remarks>
/// The guest tells what it does, before it asks the disk and after the disk has answered. Invariant: for each sector the oracle keeps the writes that a
/// crash now could leave. A flush that completes removes those that ended before another one began which was complete when the flush began; writes that
/// overlapped in time stay both, because the disk may have carried them out in either order. All ranges are whole sectors. Free-threaded.
/// </remarks>
public sealed class SectorOracle
{
    private readonly Lock _gate = new();
    private readonly ReadOnlyMemory<byte> _initial;
    private readonly Dictionary<long, OracleWrite[]> _sectors; // guarded by _gate; arrays never change; an absent sector has its initial content only
    private readonly HashSet<long> _undecided = [];            // guarded by _gate; sectors with more than one possible value
    private readonly OracleWrite[] _initialOnly;
    private readonly HashSet<OracleRead> _reads = []; // guarded by _gate; those that have begun and not ended
    private long _clock;      // guarded by _gate
    private long _writeCount; // guarded by _gate
    private long _durableLength; // guarded by _gate; the least that a crash could leave
    private long _longest;       // guarded by _gate; the most that a crash could leave
    private long _grownAt = -1;  // guarded by _gate; when the disk became as long as it is

    /// <summary>A disk of <paramref name="length"/> bytes that holds <paramref name="initial"/>, or zeroes past its end, durably.</summary>
    public SectorOracle(long length, ReadOnlyMemory<byte> initial = default)
        : this(length, initial, [])
    {
    }

    private SectorOracle(long length, ReadOnlyMemory<byte> initial, Dictionary<long, OracleWrite[]> sectors)
    {
        if (length < 0 || length % SectorPattern.SectorSize != 0)
        {
            throw new ArgumentException($"A disk of {length} bytes is not one of whole sectors of {SectorPattern.SectorSize} bytes.", nameof(length));
        }

        RequireSectors(0, initial.Length);
        Length = _durableLength = _longest = length;
        _initial = initial;
        _sectors = sectors;
        _initialOnly = new OracleWrite(0, new ByteRange(0, length), initial, issuedAt: -1, isCertain: true) { SettledAt = -1 }.Alone;
    }

    /// <summary>Raised just before zeroes or a discard is noted: a value that repeats, so that a crash image taken later could excuse too much.</summary>
    public event EventHandler? BeforeZeroes;

    /// <summary>Length of the disk in bytes.</summary>
    public long Length { get; private set; }

    /// <summary>The disk is about to grow: a crash could leave it as long as before or as long as this.</summary>
    public void BeginGrow(long length)
    {
        RequireSectors(length, 0);
        ArgumentOutOfRangeException.ThrowIfLessThan(length, Length);
        lock (_gate)
        {
            _longest = Math.Max(_longest, length);
        }
    }

    /// <summary>The disk has grown. What was added reads as zeroes; it stays once a flush has completed, or a write with forced unit access reaches into it.</summary>
    public void CompleteGrow(long length)
    {
        lock (_gate)
        {
            Length = length;
            _grownAt = ++_clock;
        }
    }

    /// <summary>The guest is about to write.</summary>
    public OracleWrite BeginWrite(long offset, ReadOnlySpan<byte> data)
    {
        // An empty buffer would stand for zeroes.
        ArgumentOutOfRangeException.ThrowIfZero(data.Length);
        return Begin(new ByteRange(offset, data.Length), data.ToArray(), isCertain: true);
    }

    /// <summary>The guest is about to write stamped sectors that nobody wrote before; <paramref name="data"/> receives them.</summary>
    public OracleWrite BeginStampedWrite(long offset, Span<byte> data)
    {
        lock (_gate)
        {
            GuestStamp.Fill(data, offset, _writeCount + 1);
            return BeginWrite(offset, data);
        }
    }

    /// <summary>The guest is about to write zeroes.</summary>
    public OracleWrite BeginWriteZeroes(long offset, long length)
    {
        BeforeZeroes?.Invoke(this, EventArgs.Empty);
        return Begin(new ByteRange(offset, length), data: default, isCertain: true);
    }

    /// <summary>The guest is about to discard: the range reads as before or as zeroes.</summary>
    public OracleWrite BeginDiscard(long offset, long length)
    {
        BeforeZeroes?.Invoke(this, EventArgs.Empty);
        return Begin(new ByteRange(offset, length), data: default, isCertain: false);
    }

    /// <summary>The disk has acknowledged the write.</summary>
    public void Complete(OracleWrite write)
    {
        lock (_gate)
        {
            write.SettledAt = ++_clock;
        }
    }

    /// <summary>The disk has acknowledged a write with forced unit access: it is durable.</summary>
    public void CompleteDurably(OracleWrite write)
    {
        lock (_gate)
        {
            write.SettledAt = ++_clock;
            for (long sector = FirstSector(write.Range.Offset); sector < FirstSector(write.Range.End); sector++)
            {
                OracleWrite[] left = Last(CandidatesLocked(sector), point: _clock, overwrites: write);
                _sectors[sector] = left;
                if (left.Length == 1)
                {
                    _undecided.Remove(sector);
                }
            }

            _durableLength = Math.Max(_durableLength, write.Range.End);
        }
    }

    /// <summary>The disk has refused the write: it took place or did not.</summary>
    public void Fail(OracleWrite write)
    {
        lock (_gate)
        {
            write.SettledAt = ++_clock;
            write.IsCertain = false;
        }
    }

    /// <summary>The disk has refused the write before it did anything: it did not take place.</summary>
    internal void Withdraw(OracleWrite write)
    {
        lock (_gate)
        {
            write.SettledAt = long.MinValue; // for reads under way: overwritten by whatever there is
            write.IsCertain = false;
            foreach (OracleRead read in _reads)
            {
                read.Since.Remove(write);
            }

            for (long sector = FirstSector(write.Range.Offset); sector < FirstSector(write.Range.End); sector++)
            {
                _sectors[sector] = Array.FindAll(CandidatesLocked(sector), candidate => candidate != write);
            }
        }
    }

    /// <summary>The guest is about to flush. The result goes to <see cref="CompleteFlush"/>; a flush that failed is simply forgotten.</summary>
    public long BeginFlush()
    {
        lock (_gate)
        {
            return ++_clock;
        }
    }

    /// <summary>The disk has acknowledged the flush.</summary>
    public void CompleteFlush(long flush)
    {
        lock (_gate)
        {
            OracleWrite[] seen = [];
            OracleWrite[] left = [];
            _undecided.RemoveWhere(sector =>
            {
                OracleWrite[] candidates = CandidatesLocked(sector);
                if (candidates != seen)
                {
                    (seen, left) = (candidates, Last(candidates, flush)); // neighbours have one array in common
                }

                _sectors[sector] = left;
                return left.Length == 1;
            });

            if (flush >= _grownAt)
            {
                _durableLength = Length;
            }
        }
    }

    /// <summary>The guest is about to read whole sectors.</summary>
    public OracleRead BeginRead(long offset, long length)
    {
        RequireRange(new ByteRange(offset, length));
        lock (_gate)
        {
            var before = new OracleWrite[length / SectorPattern.SectorSize][];
            for (int i = 0; i < before.Length; i++)
            {
                before[i] = CandidatesLocked(FirstSector(offset) + i);
            }

            var read = new OracleRead(offset, ++_clock, before);
            _reads.Add(read);
            return read;
        }
    }

    /// <summary>The disk has refused a read.</summary>
    public void Abandon(OracleRead read) => Close(read);

    /// <summary>What the read will show is settled, though it is seen later, as with a backup: a write that begins from now on is not in it.</summary>
    public void Close(OracleRead read)
    {
        lock (_gate)
        {
            _reads.Remove(read);
        }
    }

    /// <summary>The disk has answered a read.</summary>
    /// <exception cref="SectorOracleException">It returned something that was not in the sector during the read.</exception>
    public void CompleteRead(OracleRead read, ReadOnlySpan<byte> data)
    {
        lock (_gate)
        {
            _reads.Remove(read);
            for (int i = 0; i < read.Before.Length; i++)
            {
                long sector = FirstSector(read.Offset) + i;
                OracleWrite[] possible = read.Since.Count == 0 ? read.Before[i] : WithSince(read, i, sector);
                CheckSector(sector, data.Slice(i * SectorPattern.SectorSize, SectorPattern.SectorSize), Last(possible, read.BeganAt), "the read");
            }
        }
    }

    /// <summary>An oracle of this moment that does not change; for <see cref="CrashRecorder.Observe"/>.</summary>
    public SectorOracle Snapshot()
    {
        lock (_gate)
        {
            return new SectorOracle(Length, _initial, new Dictionary<long, OracleWrite[]>(_sectors)) { _durableLength = _durableLength, _longest = _longest };
        }
    }

    /// <summary>Checks what a guest reads after a crash at this moment.</summary>
    /// <param name="disk">All bytes of the disk.</param>
    /// <exception cref="SectorOracleException">A sector holds a value that it may not hold.</exception>
    public void Check(ReadOnlySpan<byte> disk)
    {
        lock (_gate)
        {
            if (disk.Length < _durableLength || disk.Length > _longest)
            {
                string allowed = _durableLength == _longest ? $"{_longest}" : $"{_durableLength} to {_longest}";
                throw new SectorOracleException(0, $"The disk has {disk.Length} bytes; allowed is {allowed}.");
            }

            for (long sector = 0; sector < FirstSector(disk.Length); sector++)
            {
                ReadOnlySpan<byte> found = disk.Slice((int)(sector * SectorPattern.SectorSize), SectorPattern.SectorSize);
                CheckSector(sector, found, CandidatesLocked(sector), "the crash");
            }
        }
    }

    private static long FirstSector(long offset) => offset / SectorPattern.SectorSize;

    private static void RequireSectors(long offset, long length)
    {
        if (((offset | length) & (SectorPattern.SectorSize - 1)) != 0)
        {
            throw new ArgumentException($"Offset {offset} and length {length} must be whole sectors of {SectorPattern.SectorSize} bytes.", nameof(length));
        }
    }

    /// <summary>The candidates that are not overwritten: none of the others began after they ended and had ended itself at <paramref name="point"/>.</summary>
    /// <param name="candidates">Of one sector.</param>
    /// <param name="point">A moment of the clock.</param>
    /// <param name="overwrites">The only one that overwrites; null: any does.</param>
    private static OracleWrite[] Last(OracleWrite[] candidates, long point, OracleWrite? overwrites = null)
    {
        long latest = -1;
        foreach (OracleWrite write in candidates)
        {
            if (write.IsCertain && write.SettledAt <= point && (overwrites is null || write == overwrites))
            {
                latest = Math.Max(latest, write.IssuedAt);
            }
        }

        int left = 0;
        OracleWrite? only = null;
        foreach (OracleWrite write in candidates)
        {
            if (write.SettledAt >= latest)
            {
                left++;
                only = write;
            }
        }

        return left == candidates.Length ? candidates
            : left == 1 ? only!.Alone
            : SettledFrom(candidates, latest);
    }

    private static OracleWrite[] SettledFrom(OracleWrite[] candidates, long latest) => Array.FindAll(candidates, write => write.SettledAt >= latest);

    private OracleWrite Begin(ByteRange range, ReadOnlyMemory<byte> data, bool isCertain)
    {
        RequireRange(range);
        lock (_gate)
        {
            var write = new OracleWrite(++_writeCount, range, data, issuedAt: ++_clock, isCertain);
            OracleWrite[] seen = [];
            OracleWrite[] now = [];
            for (long sector = FirstSector(range.Offset); sector < FirstSector(range.End); sector++)
            {
                OracleWrite[] candidates = CandidatesLocked(sector);
                if (candidates != seen)
                {
                    (seen, now) = (candidates, [.. candidates, write]);
                }

                _sectors[sector] = now;
                _undecided.Add(sector);
            }

            foreach (OracleRead read in _reads)
            {
                read.Since.Add(write);
            }

            return write;
        }
    }

    private static OracleWrite[] WithSince(OracleRead read, int index, long sector)
        => [.. read.Before[index].Union(read.Since.Where(write => sector >= FirstSector(write.Range.Offset) && sector < FirstSector(write.Range.End)))];

    private OracleWrite[] CandidatesLocked(long sector) => _sectors.GetValueOrDefault(sector, _initialOnly);

    private void CheckSector(long sector, ReadOnlySpan<byte> found, OracleWrite[] allowed, string occasion)
    {
        long offset = sector * SectorPattern.SectorSize;
        foreach (OracleWrite write in allowed)
        {
            if (write.Number == 0 ? HasInitialValue(offset, found) : write.HasValue(offset, found))
            {
                return;
            }
        }

        throw new SectorOracleException(
            offset,
            $"The sector at guest 0x{offset:x} holds {GuestStamp.Describe(found)} after {occasion}; allowed is {string.Join(" or ", allowed.AsEnumerable())}.");
    }

    private bool HasInitialValue(long offset, ReadOnlySpan<byte> found)
        => offset < _initial.Length
            ? found.SequenceEqual(_initial.Span.Slice((int)offset, found.Length))
            : found.IndexOfAnyExcept((byte)0) < 0;

    private void RequireRange(ByteRange range)
    {
        RequireSectors(range.Offset, range.Length);
        if (range.Offset < 0 || range.Length <= 0 || range.Length > Length - range.Offset)
        {
            throw new ArgumentOutOfRangeException(nameof(range), range, $"The disk has {Length} bytes.");
        }
    }
}
