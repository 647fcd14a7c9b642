using BlockLayer.Primitives;
using Xunit;

namespace BlockLayer.TestKit;

/// <summary>
/// What a disk may hold while requests overlap: per sector the values that the last writes may have left. Requests announce their start and their end;
/// a read is checked against every value its sectors could have had between the two.
/// </summary>
/// <remarks>
/// A write that succeeded removes the values of all writes that had ended before it began. A write that failed, and a discard, may or may not have left
/// theirs, and remove nothing. Ranges are whole sectors. Not thread-safe.
/// </remarks>
public sealed class SectorModel
{
    private readonly List<Change>[] _candidates;
    private readonly List<Read> _reads = [];
    private long _clock;

    /// <summary>A disk whose sectors hold what <paramref name="writerAt"/> says of their offsets.</summary>
    public SectorModel(long length, Func<long, int> writerAt)
    {
        _candidates = new List<Change>[length / SectorStamp.Size];
        for (int sector = 0; sector < _candidates.Length; sector++)
        {
            var origin = new Change(new ByteRange(sector * (long)SectorStamp.Size, SectorStamp.Size), writerAt(sector * (long)SectorStamp.Size), _clock) { End = _clock };
            _candidates[sector] = [origin];
        }
    }

    /// <summary>Announces a change: from now on <paramref name="writer"/>'s bytes may be seen.</summary>
    public Change Begin(ByteRange range, int writer)
    {
        var change = new Change(range, writer, ++_clock);
        foreach (int sector in Sectors(range))
        {
            _candidates[sector].Add(change);
        }

        foreach (Read read in _reads)
        {
            foreach (int sector in Sectors(range))
            {
                read.Allow(sector, writer);
            }
        }

        return change;
    }

    /// <summary>The change happened: what had been there before it began is gone.</summary>
    public void Succeed(Change change)
    {
        change.End = ++_clock;
        foreach (int sector in Sectors(change.Range))
        {
            _candidates[sector].RemoveAll(other => other.End < change.Start);
        }
    }

    /// <summary>The change may have happened in part, or not at all.</summary>
    public void Fail(Change change) => change.End = ++_clock;

    /// <summary>Announces a read.</summary>
    public Read BeginRead(ByteRange range)
    {
        var read = new Read(this, range);
        foreach (int sector in Sectors(range))
        {
            foreach (Change change in _candidates[sector])
            {
                read.Allow(sector, change.Writer);
            }
        }

        _reads.Add(read);
        return read;
    }

    private static IEnumerable<int> Sectors(ByteRange range)
    {
        int first = (int)(range.Offset / SectorStamp.Size);
        return Enumerable.Range(first, (int)(range.Length / SectorStamp.Size));
    }

    /// <summary>A write, zeroes or a discard.</summary>
    public sealed class Change
    {
        internal Change(ByteRange range, int writer, long start)
        {
            Range = range;
            Writer = writer;
            Start = start;
        }

        internal ByteRange Range { get; }

        internal int Writer { get; }

        internal long Start { get; }

        internal long End { get; set; } = long.MaxValue;
    }

    /// <summary>A read in flight.</summary>
    public sealed class Read
    {
        private readonly SectorModel _model;
        private readonly ByteRange _range;
        private readonly HashSet<int>[] _allowed;

        internal Read(SectorModel model, ByteRange range)
        {
            _model = model;
            _range = range;
            _allowed = new HashSet<int>[range.Length / SectorStamp.Size];
            for (int i = 0; i < _allowed.Length; i++)
            {
                _allowed[i] = [];
            }
        }

        /// <summary>Ends the read and checks what it returned.</summary>
        public void Check(ReadOnlySpan<byte> found)
        {
            _model._reads.Remove(this);
            for (int i = 0; i < _allowed.Length; i++)
            {
                long offset = _range.Offset + (i * (long)SectorStamp.Size);
                int writer = SectorStamp.WriterOf(found.Slice(i * SectorStamp.Size, SectorStamp.Size), offset);
                Assert.True(
                    _allowed[i].Contains(writer),
                    $"The sector at 0x{offset:x} holds the bytes of writer {writer}; possible are {string.Join(", ", _allowed[i])}.");
            }
        }

        /// <summary>Ends a read that failed.</summary>
        public void Abandon() => _model._reads.Remove(this);

        internal void Allow(int sector, int writer)
        {
            int index = sector - (int)(_range.Offset / SectorStamp.Size);
            if (index >= 0 && index < _allowed.Length)
            {
                _allowed[index].Add(writer);
            }
        }
    }
}
