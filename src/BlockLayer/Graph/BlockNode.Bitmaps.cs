using BlockLayer.Errors;
using BlockLayer.Requests;

namespace BlockLayer.Graph;

// Dirty bitmaps: which parts of the node were written.
//
// A write marks its range before it is issued and again when it has ended, however it ended:
//
//   before   whoever looks at a bitmap finds every unit that may differ from what it was, also while the write is under way, and when it was torn
//   after    whoever cleared a bit while the write was under way, and then read, may have read what was there before it: the bit is set again
//
// A node without a bitmap pays for none of this: one flag of the door sends writes the slow way, where the marks are made. Copies from below
// (PopulateAsync) change nothing that a guest can see, so they mark nothing.
public abstract partial class BlockNode
{
    private DirtyBitmap[] _bitmaps = []; // volatile; replaced under the topology lock

    /// <summary>The bitmaps that writes are marked in.</summary>
    internal IReadOnlyList<DirtyBitmap> Bitmaps => Volatile.Read(ref _bitmaps);

    /// <summary>
    /// Begins to mark writes, zeroes and discards in a bitmap. Under drain no write is missed; else those that are under way may be.
    /// </summary>
    internal void AttachBitmap(DirtyBitmap bitmap)
    {
        lock (Environment.TopologyLock)
        {
            Volatile.Write(ref _bitmaps, [.. _bitmaps, bitmap]);
        }

        SetDoorFlag(DoorFlags.Tracked, set: true);
    }

    /// <summary>Ends what <see cref="AttachBitmap"/> began. A write that is under way may still mark the bitmap.</summary>
    internal void DetachBitmap(DirtyBitmap bitmap)
    {
        lock (Environment.TopologyLock)
        {
            DirtyBitmap[] left = Array.FindAll(_bitmaps, candidate => candidate != bitmap);
            Volatile.Write(ref _bitmaps, left);
            SetDoorFlag(DoorFlags.Tracked, left.Length > 0);
        }
    }

    /// <summary>Marks a range, and marks it again when the result is disposed.</summary>
    private ChangeMark MarkChange(long offset, long length)
    {
        MarkDirty(offset, length);
        return new ChangeMark(this, offset, length);
    }

    private void MarkDirty(long offset, long length)
    {
        foreach (DirtyBitmap bitmap in Volatile.Read(ref _bitmaps))
        {
            bitmap.Set(offset, length);
        }
    }

    /// <exception cref="BlockLayerException">Unsupported: a bitmap cannot describe a disk of this length.</exception>
    private void ThrowIfBitmapsCannotCover(long length)
    {
        foreach (DirtyBitmap bitmap in Volatile.Read(ref _bitmaps))
        {
            if (!DirtyBitmap.CanCover(length, bitmap.GranularityBits))
            {
                throw Error(
                    BlockErrorKind.Unsupported,
                    $"'{NodeName}' cannot be resized to {length} bytes: it has a dirty bitmap with a granularity of {bitmap.Granularity} bytes, which would need more than {DirtyBitmap.MaxBits} bits.");
            }
        }
    }

    private void ResizeBitmaps(long length)
    {
        foreach (DirtyBitmap bitmap in Volatile.Read(ref _bitmaps))
        {
            bitmap.Resize(length);
        }
    }

    private void GrowBitmaps(long end)
    {
        foreach (DirtyBitmap bitmap in Volatile.Read(ref _bitmaps))
        {
            bitmap.GrowTo(end);
        }
    }

    private readonly struct ChangeMark(BlockNode node, long offset, long length) : IDisposable
    {
        public void Dispose() => node.MarkDirty(offset, length);
    }
}
