using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace BlockLayer.Storage;

/// <summary>One open file through <see cref="RandomAccess"/>. Every transfer may block; nothing is known of holes.</summary>
internal sealed class ManagedFile : PlatformFile
{
    private readonly SafeFileHandle _handle;
    private ImageLockTable.Entry? _lock;

    internal ManagedFile(SafeFileHandle handle, string path, StorageFileInfo info)
    {
        _handle = handle;
        Path = path;
        Info = info;
    }

    internal override string Path { get; }

    internal override StorageFileInfo Info { get; }

    internal override long GetLength() => RandomAccess.GetLength(_handle);

    internal override long? GetAllocatedLength() => null;

    internal override int Read(in BufferCursor buffers, long offset)
    {
        try
        {
            return RandomAccess.Read(_handle, MemoryMarshal.AsMemory(buffers[0]).Span, offset);
        }
        catch (Exception error) when (ManagedErrors.IsOfTheSystem(error))
        {
            throw ManagedErrors.Failure(error, $"Read of {buffers.Remaining} bytes at {offset}", Path, offset);
        }
    }

    internal override int Write(in BufferCursor buffers, long offset)
    {
        ReadOnlyMemory<byte> piece = buffers[0];
        try
        {
            RandomAccess.Write(_handle, piece.Span, offset);
            return piece.Length;
        }
        catch (Exception error) when (ManagedErrors.IsOfTheSystem(error))
        {
            throw ManagedErrors.Failure(error, $"Write of {buffers.Remaining} bytes at {offset}", Path, offset);
        }
    }

    /// <summary>Zero bytes, whatever the mode: plain writing keeps the room and is always right.</summary>
    internal override void WriteZeroes(long offset, long length, ZeroMode mode) => WriteZeroBytes(offset, length);

    /// <summary>Does nothing: the range reads as before.</summary>
    internal override void Discard(long offset, long length)
    {
    }

    internal override void SetLength(long length)
    {
        try
        {
            RandomAccess.SetLength(_handle, length);
        }
        catch (Exception error) when (ManagedErrors.IsOfTheSystem(error))
        {
            throw ManagedErrors.Failure(error, $"Setting the length to {length}", Path);
        }
    }

    internal override void Flush()
    {
        try
        {
            RandomAccess.FlushToDisk(_handle);
        }
        catch (Exception error) when (ManagedErrors.IsOfTheSystem(error))
        {
            throw ManagedErrors.Failure(error, "Flush", Path);
        }
    }

    internal override StorageExtent GetExtent(long offset, long length) => new(length, IsHole: offset >= GetLength());

    internal override void Lock(ImageLock wanted) => _lock = ImageLockTable.OfThisProcess.Take(Info.Identity, wanted, Path);

    internal override void ChangeLock(ImageLock wanted) => (_lock ?? throw ImageLock.NotHeld(Path)).Change(wanted, Path);

    public override void Dispose()
    {
        _handle.Dispose();
        _lock?.Dispose();
    }
}
