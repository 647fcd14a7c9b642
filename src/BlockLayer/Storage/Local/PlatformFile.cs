using BlockLayer.Primitives;

namespace BlockLayer.Storage;

/// <summary>
/// One open file as an operating system serves it: blocking calls, each free-threaded. <see cref="LocalFile"/> decides which thread pays for them.
/// Failures are <see cref="Errors.BlockLayerException"/> with path and offset.
/// </summary>
internal abstract class PlatformFile : IDisposable
{
    /// <summary>The answer of a <c>Try...Now</c> call that could not go on without blocking, or failed: the blocking call will tell which.</summary>
    internal const int WouldBlock = -1;

    /// <summary>The path as it was opened, for messages.</summary>
    internal abstract string Path { get; }

    /// <summary>What was opened; the length is the one at that time.</summary>
    internal abstract StorageFileInfo Info { get; }

    /// <summary>Current length in bytes.</summary>
    internal abstract long GetLength();

    /// <summary>Bytes the file occupies, or null if unknown.</summary>
    internal abstract long? GetAllocatedLength();

    /// <summary>Reads what is at hand without blocking; <see cref="WouldBlock"/> if nothing is, 0 at the end of the file.</summary>
    internal virtual int TryReadNow(Span<byte> buffer, long offset) => WouldBlock;

    /// <summary>Reads into several buffers as <see cref="TryReadNow(Span{byte}, long)"/> does into one.</summary>
    internal virtual int TryReadNow(in BufferCursor buffers, long offset) => WouldBlock;

    /// <summary>Writes what goes to memory only; <see cref="WouldBlock"/> if that cannot be known.</summary>
    internal virtual int TryWriteNow(ReadOnlySpan<byte> buffer, long offset) => WouldBlock;

    /// <summary>Writes several buffers as <see cref="TryWriteNow(ReadOnlySpan{byte}, long)"/> does one.</summary>
    internal virtual int TryWriteNow(in BufferCursor buffers, long offset) => WouldBlock;

    /// <summary>Reads at least one byte, or 0 at the end of the file. Not called at the end of the buffers.</summary>
    internal abstract int Read(in BufferCursor buffers, long offset);

    /// <summary>Writes at least one byte. Not called at the end of the buffers.</summary>
    internal abstract int Write(in BufferCursor buffers, long offset);

    /// <summary>Makes a range read as zeroes, growing the file if it ends earlier.</summary>
    internal abstract void WriteZeroes(long offset, long length, ZeroMode mode);

    /// <summary>Gives back the room of a range inside the file, or does nothing.</summary>
    internal abstract void Discard(long offset, long length);

    /// <summary>Sets the length.</summary>
    internal abstract void SetLength(long length);

    /// <summary>Makes data, length and everything needed to find them durable.</summary>
    internal abstract void Flush();

    /// <summary>The run at <paramref name="offset"/>: at least one byte, at most <paramref name="length"/>. Does not block on data.</summary>
    internal abstract StorageExtent GetExtent(long offset, long length);

    /// <summary>Copies from this file to another inside the operating system; the number of bytes copied, 0 when it cannot.</summary>
    internal virtual long CopyTo(long offset, PlatformFile target, long targetOffset, long length) => 0;

    /// <summary>Takes the locks or throws Conflict, with none taken. They are held until the file is disposed.</summary>
    internal abstract void Lock(ImageLock wanted);

    /// <summary>As <see cref="BlockStorage.ChangeLockAsync"/>.</summary>
    internal abstract void ChangeLock(ImageLock wanted);

    /// <summary>Releases the locks and closes the file once the calls that are under way have returned.</summary>
    public abstract void Dispose();

    /// <summary>Writes zeroes the plain way, where the file system has no better one.</summary>
    protected void WriteZeroBytes(long offset, long length)
    {
        while (length > 0)
        {
            var zeroes = new BufferCursor(ZeroBytes.Block[..(int)Math.Min(length, ZeroBytes.Block.Length)]);
            int written = Write(zeroes, offset);
            offset += written;
            length -= written;
        }
    }
}
