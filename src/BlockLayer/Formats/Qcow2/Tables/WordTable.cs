using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// A table of 64-bit words that is held in memory whole: the active L1 table or the refcount table. Words are in host order here and
/// big-endian on disk. Anyone may read a word at any time; changing and capturing happen under the allocation lock.
/// </summary>
/// <remarks>
/// Dirt is kept by 512-byte sector with a version that counts up on every change: a write-back remembers the version it copied, and a sector that
/// changed since stays dirty.
/// </remarks>
internal sealed class WordTable : IDirtyTable
{
    private const int WordsInSector = Qcow2Limits.SectorLength / sizeof(ulong);

    private readonly ulong[] _words;                            // each word: written under the allocation lock, read with Volatile
    private readonly SortedDictionary<int, long> _dirty = [];   // guarded by the allocation lock: sector to version
    private long _version;                                      // guarded by the allocation lock

    /// <summary>A table whose words are as they are on disk.</summary>
    internal WordTable(HostOffset start, ulong[] words)
    {
        Start = start;
        _words = words;
    }

    /// <summary>Where the table starts in the file.</summary>
    internal HostOffset Start { get; }

    /// <summary>Number of words.</summary>
    internal int Count => _words.Length;

    /// <summary>True when a change is not on disk yet.</summary>
    internal bool IsDirty => _dirty.Count > 0;

    /// <summary>Reads a word, or changes it and makes its sector dirty.</summary>
    internal ulong this[int index]
    {
        get => Volatile.Read(ref _words[index]);
        set
        {
            Volatile.Write(ref _words[index], value);
            _dirty[index / WordsInSector] = ++_version;
        }
    }

    /// <summary>Where a word is in the file.</summary>
    internal HostOffset PositionOf(int index) => Start.Plus((long)index * sizeof(ulong));

    /// <summary>Swaps words between the order of the disk and that of this machine.</summary>
    internal static void SwapBytes(Span<ulong> words)
    {
        if (BitConverter.IsLittleEndian)
        {
            BinaryPrimitives.ReverseEndianness(words, words);
        }
    }

    /// <summary>All words as they go to disk.</summary>
    internal static byte[] ToBytes(ReadOnlySpan<ulong> words)
    {
        ulong[] swapped = words.ToArray();
        SwapBytes(swapped);
        return MemoryMarshal.AsBytes(swapped.AsSpan()).ToArray();
    }

    /// <summary>The words of a new, longer table that starts with this one's.</summary>
    internal ulong[] CopyTo(int count)
    {
        ulong[] words = new ulong[count];
        _words.CopyTo(words, 0);
        return words;
    }

    /// <summary>Copies every dirty sector.</summary>
    internal void Capture(List<TableWrite> writes)
    {
        foreach ((int sector, long version) in _dirty)
        {
            int first = sector * WordsInSector;
            int count = Math.Min(WordsInSector, _words.Length - first);
            writes.Add(new TableWrite(PositionOf(first), ToBytes(_words.AsSpan(first, count)), this, sector, version));
        }
    }

    /// <inheritdoc/>
    public void Written(long key, long version)
    {
        if (_dirty.TryGetValue((int)key, out long current) && current == version)
        {
            _dirty.Remove((int)key);
        }
    }
}
