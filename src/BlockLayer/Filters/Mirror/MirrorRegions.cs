using System.Diagnostics;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Filters;

/// <summary>
/// What a mirror knows of each region of its disk, and the only one who writes its log. A region is noted before the first write into it, durably if there is a log,
/// and forgotten some time after both sides have been flushed.
/// </summary>
/// <remarks>
/// <code>
///   clean --Enter--> noted, durably --Leave--> noted, idle --flush of both sides--> clean
///                      ^   '--a side failed--> differing --repair--'
///                      '---- Enter ------------------'
/// </code>
/// Invariants, whenever <c>_gate</c> is free:
/// <list type="number">
/// <item>a region with a writer inside is noted, and the writer was let in only when the log held the region durably;</item>
/// <item>durable is a subset of noted; differing and repairing are too;</item>
/// <item>a region in which the sides may hold different bytes is noted.</item>
/// </list>
/// Writes of the log are one at a time, under <c>_turn</c>; writers that come meanwhile share the next one.
/// </remarks>
internal sealed class MirrorRegions
{
    private readonly BlockEdge? _log;
    private readonly UInt128 _pair;
    private readonly AsyncLock _turn = new();
    private readonly Lock _gate = new();
    private Sets _sets;        // guarded by _gate; replaced only while no writer is inside
    private long _repaired;    // guarded by _gate; bytes

    /// <param name="geometry">How the disk is divided.</param>
    /// <param name="log">Where regions are noted; null: in memory only.</param>
    /// <param name="pair">Which two files, for the log's header.</param>
    /// <param name="differing">Regions in which the sides may differ now; the log, if there is one, holds them already or is made by <see cref="CreateLogAsync"/>.</param>
    internal MirrorRegions(RegionGeometry geometry, BlockEdge? log, UInt128 pair, RegionSet differing)
    {
        _log = log;
        _pair = pair;
        _sets = new Sets(geometry);
        _sets.Noted.CopyFrom(differing);
        _sets.Durable.CopyFrom(differing);
        _sets.Differing.CopyFrom(differing);
    }

    /// <summary>How the disk is divided.</summary>
    internal RegionGeometry Geometry
    {
        get
        {
            lock (_gate)
            {
                return _sets.Geometry;
            }
        }
    }

    /// <summary>Bytes of noted regions, of differing ones, and of those that were repaired so far.</summary>
    internal (long Noted, long Differing, long Repaired) Bytes
    {
        get
        {
            lock (_gate)
            {
                return (_sets.BytesOf(_sets.Noted), _sets.BytesOf(_sets.Differing) + _sets.BytesOf(_sets.Repairing), _repaired);
            }
        }
    }

    /// <summary>True when a flush of both sides would let a region be forgotten, now or once its writers have left.</summary>
    internal bool HasCleanable
    {
        get
        {
            lock (_gate)
            {
                return _sets.Noted.Count > _sets.Differing.Count + _sets.Repairing.Count;
            }
        }
    }

    /// <summary>Writes the whole log anew.</summary>
    internal ValueTask CreateLogAsync()
    {
        RegionSet noted;
        lock (_gate)
        {
            noted = _sets.Noted;
        }

        return _log is null ? ValueTask.CompletedTask : MirrorLog.CreateAsync(_log, new MirrorLogHeader(_sets.Geometry, _pair), noted);
    }

    /// <summary>Lets a writer into a range, once its regions are noted. It leaves by <see cref="Leave"/>, unless this fails.</summary>
    /// <exception cref="Errors.BlockLayerException">The log could not be written or flushed; the writer may not begin.</exception>
    internal ValueTask EnterAsync(ByteRange range)
    {
        bool isDurable;
        lock (_gate)
        {
            (int first, int last) = _sets.Geometry.Touched(range);
            for (int region = first; region <= last; region++)
            {
                _sets.Writers[region]++;
                _sets.Noted.Add(region);
                _sets.Recent.Add(region);
                _sets.Cleaning.Remove(region);
            }

            isDurable = _log is null || _sets.Durable.ContainsAll(first, last);
        }

        return isDurable ? ValueTask.CompletedTask : NoteAsync(range);
    }

    /// <summary>A writer leaves a range.</summary>
    /// <param name="range">As it entered.</param>
    /// <param name="differs">True when the two sides may hold different bytes there now.</param>
    internal void Leave(ByteRange range, bool differs)
    {
        lock (_gate)
        {
            (int first, int last) = _sets.Geometry.Touched(range);
            for (int region = first; region <= last; region++)
            {
                _sets.Writers[region]--;
                if (differs)
                {
                    _sets.Differing.Add(region);
                }
            }
        }
    }

    /// <summary>A side failed to flush: whatever was not durable before may differ.</summary>
    internal void DistrustNoted()
    {
        lock (_gate)
        {
            _sets.Differing.UnionWith(_sets.Noted);
        }
    }

    /// <summary>True when the sides may hold different bytes somewhere in a range, apart from writes in flight.</summary>
    internal bool MayDiffer(ByteRange range)
    {
        lock (_gate)
        {
            (int first, int last) = _sets.Geometry.Touched(range);
            return _sets.Differing.ContainsAny(first, last) || _sets.Repairing.ContainsAny(first, last);
        }
    }

    /// <summary>The first region from <paramref name="from"/> on in which the sides may differ; -1 if there is none.</summary>
    internal int NextDiffering(int from)
    {
        lock (_gate)
        {
            return _sets.Differing.Next(from);
        }
    }

    /// <summary>A region is being copied from the source. A write that fails meanwhile makes it differ again.</summary>
    internal void BeginRepair(int region)
    {
        lock (_gate)
        {
            _sets.Differing.Remove(region);
            _sets.Repairing.Add(region);
        }
    }

    /// <summary>The copy of a region is over. It stays noted until both sides are flushed.</summary>
    internal void EndRepair(int region, bool succeeded)
    {
        lock (_gate)
        {
            _sets.Repairing.Remove(region);
            if (succeeded)
            {
                _repaired += _sets.Geometry.RangeOf(region).Length;
            }
            else
            {
                _sets.Differing.Add(region);
            }
        }
    }

    /// <summary>Chooses the regions that a flush of both sides, begun after this, lets be forgotten. False: there are none.</summary>
    /// <param name="sparesRecent">True: regions that were written since the last call stay noted.</param>
    internal bool BeginClean(bool sparesRecent)
    {
        lock (_gate)
        {
            RegionSet cleaning = _sets.Cleaning;
            cleaning.CopyFrom(_sets.Noted);
            cleaning.ExceptWith(_sets.Differing);
            cleaning.ExceptWith(_sets.Repairing);
            if (sparesRecent)
            {
                cleaning.ExceptWith(_sets.Recent);
            }

            _sets.Recent.Clear();
            for (int region = cleaning.Next(0); region >= 0; region = cleaning.Next(region + 1))
            {
                if (_sets.Writers[region] > 0)
                {
                    cleaning.Remove(region);
                }
            }

            return cleaning.Count > 0;
        }
    }

    /// <summary>
    /// Both sides are durable as of <see cref="BeginClean"/>: the chosen regions are forgotten, but for those that were entered since. The log is written, not flushed:
    /// a region that comes back after a crash is repaired in vain, no more.
    /// </summary>
    internal async ValueTask EndCleanAsync()
    {
        using AsyncLock.Releaser turn = await _turn.EnterAsync().ConfigureAwait(false);
        RegionSet snapshot;
        List<int> sectors;
        lock (_gate)
        {
            _sets.Cleaning.ExceptWith(_sets.Differing);
            sectors = Sets.SectorsOf(_sets.Cleaning);
            _sets.Noted.ExceptWith(_sets.Cleaning);
            _sets.Durable.ExceptWith(_sets.Cleaning);
            _sets.Cleaning.Clear();
            snapshot = _sets.Snapshot(_sets.Noted);
        }

        if (_log is not null)
        {
            await MirrorLog.WriteSectorsAsync(_log, snapshot, sectors).ConfigureAwait(false);
        }
    }

    /// <summary>Notes every region, durably. No writer is inside.</summary>
    internal async ValueTask NoteEverythingAsync()
    {
        var everything = new ByteRange(0, Geometry.Length);
        if (!everything.IsEmpty)
        {
            await EnterAsync(everything).ConfigureAwait(false);
            Leave(everything, differs: false);
        }
    }

    /// <summary>
    /// The disk has another length. Everything is noted afterwards, and what differed differs still. No writer is inside. After a failure the log names another
    /// length than the source has, so the next open copies everything.
    /// </summary>
    internal async ValueTask ResizeAsync(long length)
    {
        lock (_gate)
        {
            var resized = new Sets((_sets.Geometry with { Length = length }).Fit());
            resized.Noted.AddAll();
            _sets.Differing.UnionWith(_sets.Repairing);
            for (int region = _sets.Differing.Next(0); region >= 0; region = _sets.Differing.Next(region + 1))
            {
                ByteRange range = _sets.Geometry.RangeOf(region).ClampTo(length);
                if (range.Offset < length && !range.IsEmpty)
                {
                    (int first, int last) = resized.Geometry.Touched(range);
                    for (int at = first; at <= last; at++)
                    {
                        resized.Differing.Add(at);
                    }
                }
            }

            _sets = resized;
        }

        await CreateLogAsync().ConfigureAwait(false);
        lock (_gate)
        {
            _sets.Durable.AddAll();
        }
    }

    // The writer was counted in already. Whoever has the turn writes what all those who wait for it have noted.
    private async ValueTask NoteAsync(ByteRange range)
    {
        try
        {
            using AsyncLock.Releaser turn = await _turn.EnterAsync().ConfigureAwait(false);
            RegionSet snapshot;
            List<int> sectors;
            lock (_gate)
            {
                (int first, int last) = _sets.Geometry.Touched(range);
                if (_sets.Durable.ContainsAll(first, last))
                {
                    return;
                }

                snapshot = _sets.Snapshot(_sets.Noted);
                RegionSet fresh = _sets.Snapshot(_sets.Noted);
                fresh.ExceptWith(_sets.Durable);
                sectors = Sets.SectorsOf(fresh);
            }

            await MirrorLog.WriteSectorsAsync(_log!, snapshot, sectors).ConfigureAwait(false);
            await _log!.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            lock (_gate)
            {
                _sets.Durable.UnionWith(snapshot); // nothing was forgotten meanwhile: that takes the turn
            }
        }
        catch
        {
            Leave(range, differs: false);
            throw;
        }
    }

    private sealed class Sets(RegionGeometry geometry)
    {
        internal RegionGeometry Geometry => geometry;

        /// <summary>Noted in memory, and in the log or about to be.</summary>
        internal RegionSet Noted { get; } = new(geometry.Count);

        /// <summary>Those of Noted that the log holds durably.</summary>
        internal RegionSet Durable { get; } = new(geometry.Count);

        /// <summary>Those in which the sides may differ apart from writes in flight.</summary>
        internal RegionSet Differing { get; } = new(geometry.Count);

        /// <summary>Those that are being copied.</summary>
        internal RegionSet Repairing { get; } = new(geometry.Count);

        /// <summary>Those that were entered since cleaning was begun last.</summary>
        internal RegionSet Recent { get; } = new(geometry.Count);

        /// <summary>Those that will be forgotten when the flush under way succeeds.</summary>
        internal RegionSet Cleaning { get; } = new(geometry.Count);

        /// <summary>How many writers are inside each region.</summary>
        internal int[] Writers { get; } = new int[geometry.Count];

        internal RegionSet Snapshot(RegionSet of)
        {
            Debug.Assert(of.Capacity == geometry.Count, "a set of this disk");
            var snapshot = new RegionSet(geometry.Count);
            snapshot.CopyFrom(of);
            return snapshot;
        }

        /// <summary>The sectors of the log in which regions of a set lie.</summary>
        internal static List<int> SectorsOf(RegionSet regions)
        {
            var sectors = new List<int>();
            for (int region = regions.Next(0); region >= 0; region = regions.Next((sectors[^1] + 1) * MirrorLogSector.RegionCount))
            {
                sectors.Add(region / MirrorLogSector.RegionCount);
            }

            return sectors;
        }

        internal long BytesOf(RegionSet regions)
        {
            // All regions are of one size but for the last.
            bool hasLast = geometry.Count > 0 && regions.Contains(geometry.Count - 1);
            long shortfall = hasLast ? (1L << geometry.RegionBits) - geometry.RangeOf(geometry.Count - 1).Length : 0;
            return ((long)regions.Count << geometry.RegionBits) - shortfall;
        }
    }
}
