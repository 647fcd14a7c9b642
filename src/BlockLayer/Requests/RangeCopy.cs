using System.Diagnostics;
using BlockLayer.Primitives;

namespace BlockLayer.Requests;

/// <summary>
/// A copy in flight: the exclusive claim on a run of units, and the bytes fetched for them. It belongs to a <see cref="CopyQueue"/>, whose lock guards the
/// states of its units.
/// </summary>
/// <remarks>
/// <code>
///   claimed --TryBeginStore--> storing --EndStore--> released
///    |   ^                                              ^
///  guest write   a reader comes, no guest is there      |
///    v   |                                              |
///   cancelled ----------------TryBeginStore-------------'     (fetch failed or copy finished: any state --> released)
/// </code>
/// A cancelled unit keeps its fetched bytes until the copy reaches it: they are what the chain below holds, which no guest write changes, so
/// a reader that still finds the unit unallocated is answered from them instead of fetching them again.
/// </remarks>
internal sealed class RangeCopy
{
    private readonly int _unitSize;
    private readonly UnitState[] _states;                 // guarded by the queue's lock
    private List<GuestClaim>?[]? _waiting;                // guarded by the queue's lock; by unit
    private PooledBuffer _buffer;
    private int _users = 1;                               // guarded by the queue's lock; who reads the buffer, the copier included

    internal RangeCopy(ByteRange range, IReadOnlyList<CopyExtent> extents, int unitSize)
    {
        Range = range;
        Extents = extents;
        _unitSize = unitSize;
        _states = new UnitState[Alignment.DivideRoundUp(range.Length, unitSize)];
        long first = -1;
        long end = 0;
        foreach (CopyExtent extent in extents)
        {
            if (!extent.IsZero)
            {
                first = first < 0 ? extent.Range.Offset : first;
                end = extent.Range.End;
            }
        }

        Source = first < 0 ? new ByteRange(range.Offset, 0) : new ByteRange(first, end - first);
        Reserved = Source.IsEmpty ? 0 : (long)_states.Length * unitSize;
    }

    internal enum UnitState : byte
    {
        Claimed,
        Cancelled,
        Storing,
        Released,
    }

    /// <summary>The claimed units.</summary>
    internal ByteRange Range { get; }

    /// <summary>What is stored, ascending.</summary>
    internal IReadOnlyList<CopyExtent> Extents { get; }

    /// <summary>What is fetched, in one read: from the first to the last byte that is not known to be zero. Empty if all is zero.</summary>
    internal ByteRange Source { get; }

    /// <summary>Happens when the bytes are there, or fails with the error of the fetch.</summary>
    internal Completion Fetched { get; } = new();

    /// <summary>Happens when the copy is over, stored or not.</summary>
    internal Completion Finished { get; } = new();

    /// <summary>Bytes of this copy that were stored.</summary>
    internal long StoredBytes { get; set; }

    /// <summary>What the copy holds of the queue's memory, in bytes: nothing if all is zero.</summary>
    internal long Reserved { get; }

    internal int UnitCount => _states.Length;

    /// <summary>Where the source's bytes go; valid between <see cref="Rent"/> and the last user's leave.</summary>
    internal Memory<byte> Buffer => _buffer.Memory;

    internal void Rent(BufferPool buffers) => _buffer = buffers.Rent((int)Source.Length);

    /// <summary>Bytes that the copy has for a range.</summary>
    internal long LengthIn(ByteRange range)
    {
        long length = 0;
        foreach (CopyExtent extent in Extents)
        {
            length += Math.Max(0, Math.Min(extent.Range.End, range.End) - Math.Max(extent.Range.Offset, range.Offset));
        }

        return length;
    }

    /// <summary>True when the copy knows the content of all of <paramref name="wanted"/>.</summary>
    internal bool Covers(ByteRange wanted)
    {
        long at = wanted.Offset;
        foreach (CopyExtent extent in Extents)
        {
            if (extent.Range.Offset <= at && at < extent.Range.End)
            {
                at = Math.Min(extent.Range.End, wanted.End);
            }
        }

        return at == wanted.End;
    }

    /// <summary>The fetched bytes of <paramref name="wanted"/>, which the copy covers.</summary>
    internal void CopyTo(ByteRange wanted, Span<byte> destination)
    {
        foreach (CopyExtent extent in Extents)
        {
            long first = Math.Max(extent.Range.Offset, wanted.Offset);
            long length = Math.Min(extent.Range.End, wanted.End) - first;
            if (length <= 0)
            {
                continue;
            }

            Span<byte> part = destination.Slice((int)(first - wanted.Offset), (int)length);
            if (extent.IsZero)
            {
                part.Clear();
            }
            else
            {
                Bytes(new ByteRange(first, length)).Span.CopyTo(part);
            }
        }
    }

    /// <summary>The fetched bytes of a part of <see cref="Source"/>.</summary>
    internal ReadOnlyMemory<byte> Bytes(ByteRange part) => Buffer.Slice((int)(part.Offset - Source.Offset), (int)part.Length);

    internal ByteRange UnitRange(int unit)
    {
        long first = Range.Offset + ((long)unit * _unitSize);
        return new ByteRange(first, Math.Min(_unitSize, Range.End - first));
    }

    internal int UnitAt(long offset) => (int)((offset - Range.Offset) / _unitSize);

    internal UnitState StateLocked(int unit) => _states[unit];

    internal void SetStateLocked(int unit, UnitState state) => _states[unit] = state;

    internal void AddUserLocked() => _users++;

    /// <summary>Leaves the buffer; true for the last user, who gives it back with <see cref="ReturnBuffer"/>.</summary>
    internal bool DropUserLocked()
    {
        Debug.Assert(_users > 0, "left more often than entered");
        return --_users == 0;
    }

    internal void ReturnBuffer() => _buffer.Dispose();

    internal void AddWaiterLocked(int unit, GuestClaim claim)
    {
        _waiting ??= new List<GuestClaim>?[_states.Length];
        (_waiting[unit] ??= []).Add(claim);
    }

    internal List<GuestClaim>? TakeWaitersLocked(int unit)
    {
        if (_waiting is null)
        {
            return null;
        }

        (List<GuestClaim>? waiters, _waiting[unit]) = (_waiting[unit], null);
        return waiters;
    }
}
