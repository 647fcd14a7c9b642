using System.Numerics;

namespace BlockLayer.Filters;

/// <summary>A set of regions, one bit each. The words are what a mirror's log stores. Not thread-safe.</summary>
internal sealed class RegionSet
{
    private readonly ulong[] _words;

    internal RegionSet(int count)
    {
        Capacity = count;
        _words = new ulong[(count + 63) / 64];
    }

    /// <summary>Number of regions that can be in it.</summary>
    internal int Capacity { get; }

    /// <summary>Number of regions in it.</summary>
    internal int Count { get; private set; }

    /// <summary>Bit r % 64 of word r / 64 stands for region r; bits past the capacity are 0.</summary>
    internal ReadOnlySpan<ulong> Words => _words;

    internal bool Contains(int region) => (_words[region / 64] >> (region % 64) & 1) != 0;

    internal void Add(int region)
    {
        if (!Contains(region))
        {
            _words[region / 64] |= 1UL << (region % 64);
            Count++;
        }
    }

    internal void Remove(int region)
    {
        if (Contains(region))
        {
            _words[region / 64] &= ~(1UL << (region % 64));
            Count--;
        }
    }

    internal void AddAll()
    {
        for (int region = 0; region < Capacity; region++)
        {
            Add(region);
        }
    }

    internal void Clear()
    {
        Array.Clear(_words);
        Count = 0;
    }

    /// <summary>Makes the set equal to another of the same capacity.</summary>
    internal void CopyFrom(RegionSet other)
    {
        other._words.CopyTo(_words, 0);
        Count = other.Count;
    }

    internal void UnionWith(RegionSet other)
    {
        for (int region = other.Next(0); region >= 0; region = other.Next(region + 1))
        {
            Add(region);
        }
    }

    internal void ExceptWith(RegionSet other)
    {
        for (int region = other.Next(0); region >= 0; region = other.Next(region + 1))
        {
            Remove(region);
        }
    }

    /// <summary>The first region from <paramref name="from"/> on that is in the set; -1 if none is.</summary>
    internal int Next(int from)
    {
        for (int word = from / 64; word < _words.Length; word++)
        {
            ulong left = _words[word] & (word == from / 64 ? ulong.MaxValue << (from % 64) : ulong.MaxValue);
            if (left != 0)
            {
                return (word * 64) + BitOperations.TrailingZeroCount(left);
            }
        }

        return -1;
    }

    /// <summary>True when a region from <paramref name="first"/> to <paramref name="last"/> is in the set.</summary>
    internal bool ContainsAny(int first, int last) => Next(first) is >= 0 and int found && found <= last;

    /// <summary>True when all regions from <paramref name="first"/> to <paramref name="last"/> are in the set.</summary>
    internal bool ContainsAll(int first, int last)
    {
        for (int region = first; region <= last; region++)
        {
            if (!Contains(region))
            {
                return false;
            }
        }

        return true;
    }
}
