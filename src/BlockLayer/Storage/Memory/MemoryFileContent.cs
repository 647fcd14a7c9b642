using BlockLayer.Errors;
using BlockLayer.Primitives;

namespace BlockLayer.Storage;

/// <summary>
/// What a file in memory consists of, whatever it is called and however often it is open: its bytes and its length. Free-threaded: one lock makes every
/// call atomic, which is more than the contract of <see cref="BlockStorage"/> asks for. Its room goes back when it has neither a name nor an opener.
/// </summary>
internal sealed class MemoryFileContent
{
    /// <summary>The largest length: whole pages within 63 bits.</summary>
    internal const long MaxLength = long.MaxValue & -SparsePages.PageSize;

    private readonly Lock _gate = new();
    private readonly MemoryCapacity _capacity;
    private SparsePages _pages = new(); // guarded by _gate
    private long _length;               // guarded by _gate; Length reads it without
    private int _uses = 1;              // guarded by _gate: openers, and one for the name

    internal MemoryFileContent(StorageIdentity identity, MemoryCapacity capacity)
    {
        Identity = identity;
        _capacity = capacity;
    }

    internal StorageIdentity Identity { get; }

    internal long Length => Interlocked.Read(ref _length);

    internal long AllocatedLength
    {
        get
        {
            lock (_gate)
            {
                return _pages.Count * SparsePages.PageSize;
            }
        }
    }

    /// <summary>Counts an opener in.</summary>
    internal void AddUse()
    {
        lock (_gate)
        {
            _uses++;
        }
    }

    /// <summary>Counts an opener, or the name, out.</summary>
    internal void DropUse()
    {
        lock (_gate)
        {
            if (--_uses == 0)
            {
                _capacity.Return(_pages.Count);
                _pages = new SparsePages();
            }
        }
    }

    internal void Read(long offset, Span<byte> buffer, string path)
    {
        lock (_gate)
        {
            if (offset > _length || buffer.Length > _length - offset)
            {
                throw new BlockLayerException(
                    BlockErrorKind.Io, $"Read of {buffer.Length} bytes at {offset} met the end of the file, which is {_length} bytes long.")
                { Path = path, Offset = offset };
            }

            _pages.Read(offset, buffer);
        }
    }

    internal void Write(long offset, ReadOnlySpan<byte> buffer, string path)
    {
        lock (_gate)
        {
            long end = RequireRoom(offset, buffer.Length, path);
            _pages.Write(offset, buffer);
            _length = Math.Max(_length, end);
        }
    }

    internal void WriteZeroes(long offset, long length, ZeroMode mode, string path)
    {
        lock (_gate)
        {
            long end = mode == ZeroMode.KeepAllocated ? RequireRoom(offset, length, path) : RequireEnd(offset, length, path);
            ZeroLocked(offset, length, mode);
            _length = Math.Max(_length, end);
        }
    }

    internal void Discard(long offset, long length)
    {
        lock (_gate)
        {
            if (offset < _length)
            {
                ZeroLocked(offset, Math.Min(length, _length - offset), ZeroMode.MayUnmap);
            }
        }
    }

    internal void SetLength(long length, string path)
    {
        RequireEnd(0, length, path);
        lock (_gate)
        {
            if (length < _length)
            {
                ZeroLocked(length, _length - length, ZeroMode.MayUnmap);
            }

            _length = length;
        }
    }

    internal StorageExtent GetExtent(long offset, long length)
    {
        lock (_gate)
        {
            if (offset >= _length)
            {
                return new StorageExtent(length, IsHole: true);
            }

            length = Math.Min(length, _length - offset);
            long hole = _pages.HoleLength(offset, length);
            return hole > 0 ? new StorageExtent(hole, IsHole: true) : new StorageExtent(_pages.DataLength(offset, length), IsHole: false);
        }
    }

    private void ZeroLocked(long offset, long length, ZeroMode mode)
    {
        if (offset + length >= _length)
        {
            // Past the end there is nothing to keep: the last page goes as a whole.
            length = Alignment.RoundUp(offset + length, SparsePages.PageSize) - offset;
        }

        long before = _pages.Count;
        _pages.Zero(offset, length, mode);
        if (_pages.Count < before)
        {
            _capacity.Return(before - _pages.Count);
        }
    }

    private static long RequireEnd(long offset, long length, string path)
        => offset <= MaxLength && length <= MaxLength - offset
            ? offset + length
            : throw new BlockLayerException(BlockErrorKind.NoSpace, $"{length} bytes at {offset} end past the largest length, which is {MaxLength}.")
            { Path = path, Offset = offset };

    /// <summary>Takes the room a write needs, all or nothing; returns where it ends.</summary>
    private long RequireRoom(long offset, long length, string path)
    {
        long end = RequireEnd(offset, length, path);
        long missing = _pages.CountMissing(offset, length);
        if (missing > 0 && !_capacity.TryTake(missing))
        {
            throw new BlockLayerException(
                BlockErrorKind.NoSpace, $"Write of {length} bytes at {offset} needs {missing * SparsePages.PageSize} bytes of room, more than is left.")
            { Path = path, Offset = offset };
        }

        return end;
    }
}
