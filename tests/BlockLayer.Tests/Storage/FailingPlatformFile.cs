using BlockLayer.Errors;
using BlockLayer.Storage;

namespace BlockLayer.Tests.Storage;

/// <summary>
/// An operating system's file that misbehaves on order, to see what <see cref="LocalFile"/> makes of it: transfers are cut to a few bytes, what is at
/// hand without blocking is limited, and a flush can fail. The bytes are in memory.
/// </summary>
internal sealed class FailingPlatformFile(int atMost, int atHand) : PlatformFile
{
    private readonly Lock _gate = new();
    private readonly byte[] _bytes = new byte[1 << 20];

    /// <summary>What the next flush throws; it is thrown once.</summary>
    internal BlockErrorKind? NextFlushFails { get; set; }

    /// <summary>Flushes that reached the file.</summary>
    internal int Flushes { get; private set; }

    /// <summary>Held by a test to keep blocking transfers from starting.</summary>
    internal ManualResetEventSlim Door { get; } = new(initialState: true);

    internal override string Path => "failing";

    internal override StorageFileInfo Info => new(new StorageIdentity(1, 1), StorageFileKind.Regular, _bytes.Length);

    internal override long GetLength() => _bytes.Length;

    internal override long? GetAllocatedLength() => null;

    internal override int TryReadNow(Span<byte> buffer, long offset) => atHand == 0 ? WouldBlock : Take(buffer, offset, atHand);

    internal override int TryWriteNow(ReadOnlySpan<byte> buffer, long offset) => atHand == 0 ? WouldBlock : Put(buffer, offset, atHand);

    internal override int Read(in BufferCursor buffers, long offset)
    {
        Door.Wait();
        return Take(System.Runtime.InteropServices.MemoryMarshal.AsMemory(buffers[0]).Span, offset, atMost);
    }

    internal override int Write(in BufferCursor buffers, long offset)
    {
        Door.Wait();
        return Put(buffers[0].Span, offset, atMost);
    }

    internal override void WriteZeroes(long offset, long length, ZeroMode mode) => WriteZeroBytes(offset, length);

    internal override void Discard(long offset, long length)
    {
    }

    internal override void SetLength(long length)
    {
    }

    internal override void Flush()
    {
        Flushes++;
        if (NextFlushFails is { } kind)
        {
            NextFlushFails = null;
            throw new BlockLayerException(kind, "Flush failed: Input/output error.") { Path = Path };
        }
    }

    internal override StorageExtent GetExtent(long offset, long length) => new(length, IsHole: false);

    internal override void Lock(ImageLock wanted)
    {
    }

    internal override void ChangeLock(ImageLock wanted)
    {
    }

    public override void Dispose() => Door.Dispose();

    private int Take(Span<byte> buffer, long offset, int limit)
    {
        int count = (int)Math.Min(Math.Min(buffer.Length, limit), _bytes.Length - offset);
        lock (_gate)
        {
            _bytes.AsSpan((int)offset, count).CopyTo(buffer);
        }

        return count;
    }

    private int Put(ReadOnlySpan<byte> buffer, long offset, int limit)
    {
        int count = Math.Min(buffer.Length, limit);
        lock (_gate)
        {
            buffer[..count].CopyTo(_bytes.AsSpan((int)offset));
        }

        return count;
    }
}
