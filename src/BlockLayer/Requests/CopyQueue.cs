namespace BlockLayer.Requests;

/// <summary>
/// The write queue: who fetches, who waits and who is cancelled while an image is filled from below and guests read and write it. It knows ranges and
/// moves no data.
/// </summary>
/// <remarks>
/// <para>That a copy never overwrites what a guest wrote does not depend on it: the destination stores a copy only where nothing is allocated. The queue
/// adds that nothing is fetched twice and that nobody waits longer than for one store.</para>
/// <list type="number">
/// <item>Claims are ranges of whole units. Guest claims are shared among guests; a copy is exclusive. A unit has at most one copy.</item>
/// <item>A guest takes its units in ascending order and waits only for copies. A copy never waits for a claim: where a guest is, it does not copy. So
/// there is no circle of waiters: copies end, then guests go on.</item>
/// <item>Memory is reserved before the claim, all or nothing. A guest's read that gets none is read through.</item>
/// <item>While a copy holds a unit's bytes, readers are answered from them; nobody else reads the source.</item>
/// <item>After <see cref="FailuresBeforeReadThrough"/> failed stores a unit is read through until a job tries it again.</item>
/// <item>A unit can be cancelled until its store starts; a store of data covers at most <see cref="StoreLength"/> bytes.</item>
/// <item>A unit that a copy gives up is handed to the guests that wait for it before the lock is left, so no new copy comes between.</item>
/// </list>
/// </remarks>
internal sealed partial class CopyQueue
{
    /// <summary>The longest piece of a request that is planned, claimed and copied at once, in bytes; one unit if that is longer.</summary>
    internal const int PieceLength = 1024 * 1024;

    /// <summary>The most data stored at once, in bytes; one unit if that is longer. Bounds how long a guest's write waits.</summary>
    internal const int StoreLength = 512 * 1024;

    /// <summary>The most zeroes stored at once, in bytes: no data moves, so the bound is on table updates.</summary>
    internal const int ZeroStoreLength = 32 * 1024 * 1024;

    /// <summary>The least that is copied at once, in bytes.</summary>
    internal const int MinUnitSize = 64 * 1024;

    /// <summary>How many stores of a unit fail before guests' reads stop trying.</summary>
    internal const int FailuresBeforeReadThrough = 3;

    private readonly CopyStrategy _strategy;
    private readonly Lock _gate = new();
    private readonly List<RangeCopy> _copies = [];            // guarded by _gate
    private readonly LinkedList<GuestClaim> _guests = new();  // guarded by _gate; claims that hold something
    private readonly Dictionary<long, int> _failures = [];    // guarded by _gate; failed stores by offset of the unit

    // Counters, guarded by _gate; their meaning stands at CopyStatistics.
    private long _copiesBegun;
    private long _storedBytes;
    private long _joined;
    private long _cancelled;
    private long _revived;
    private long _guestWaits;
    private long _withoutMemory;
    private long _failedStores;

    /// <summary>An empty queue.</summary>
    /// <param name="unitSize">Bytes; a power of two, at least the destination's cluster.</param>
    /// <param name="memoryLimit">Bytes that copies in flight may hold; one unit always fits.</param>
    /// <param name="strategy">Its choices.</param>
    internal CopyQueue(int unitSize, long memoryLimit, CopyStrategy strategy)
    {
        UnitSize = unitSize;
        Memory = new CopyMemory(Math.Max(memoryLimit, unitSize));
        _strategy = strategy;
    }

    /// <summary>What is copied or left as a whole, in bytes.</summary>
    internal int UnitSize { get; }

    /// <summary>What copies in flight may hold.</summary>
    internal CopyMemory Memory { get; }

    /// <summary>The choices.</summary>
    internal CopyStrategy Strategy => _strategy;

    /// <summary>The longest piece, in whole units.</summary>
    internal int MaxPiece => Math.Max(PieceLength, UnitSize);

    /// <summary>What it has done so far.</summary>
    internal CopyStatistics Statistics
    {
        get
        {
            lock (_gate)
            {
                return new CopyStatistics
                {
                    Copies = _copiesBegun,
                    StoredBytes = _storedBytes,
                    Joined = _joined,
                    Cancelled = _cancelled,
                    Revived = _revived,
                    GuestWaits = _guestWaits,
                    WithoutMemory = _withoutMemory,
                    FailedStores = _failedStores,
                };
            }
        }
    }

    /// <summary>True when nobody claims anything; for assertions.</summary>
    internal bool IsIdle
    {
        get
        {
            lock (_gate)
            {
                return _copies.Count == 0 && _guests.Count == 0;
            }
        }
    }
}
