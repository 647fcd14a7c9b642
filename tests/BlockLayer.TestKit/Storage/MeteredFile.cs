using BlockLayer.Errors;
using BlockLayer.Storage;

namespace BlockLayer.TestKit;

/// <summary>One file of <see cref="MeteredFiles"/>: a growing array, and perhaps a hole behind it.</summary>
internal sealed class MeteredFile(MeteredFiles owner, string path, ulong inode)
{
    private readonly MeteredFiles _owner = owner;
    private byte[] _bytes = [];
    private long _length;

    internal StorageIdentity Identity { get; } = new(Device: 77, inode);

    internal long Length => _length;

    internal ReadOnlySpan<byte> Content => _bytes.AsSpan(0, (int)Math.Min(_length, _bytes.Length));

    internal void SetContent(ReadOnlySpan<byte> content, long hole)
    {
        _length = 0;
        SetLength(content.Length);
        content.CopyTo(_bytes);
        if (hole > 0)
        {
            _bytes.AsSpan(content.Length).Clear();
            _length += hole;
        }
    }

    internal BlockStorage Open(bool writable) => new Handle(this, path, writable);

    private void SetLength(long length)
    {
        if (length <= _length)
        {
            _length = length;
            return;
        }

        if (length > _owner.FileLimit)
        {
            throw new BlockLayerException(BlockErrorKind.NoSpace, $"There is room for {_owner.FileLimit} bytes, not for {length}.") { Path = path };
        }

        if (length > _bytes.Length)
        {
            Array.Resize(ref _bytes, (int)Math.Max(length, Math.Min(_owner.FileLimit, 2L * _bytes.Length)));
        }

        _bytes.AsSpan((int)_length, (int)(length - _length)).Clear();
        _length = length;
    }

    /// <summary>Gives a part of the hole bytes, to be written.</summary>
    private void Fill(long end)
    {
        if (end <= _bytes.Length)
        {
            return;
        }

        if (end > _owner.FileLimit)
        {
            throw new BlockLayerException(BlockErrorKind.NoSpace, $"There is room for {_owner.FileLimit} bytes, not for {end}.") { Path = path };
        }

        Array.Resize(ref _bytes, (int)Math.Max(end, Math.Min(_owner.FileLimit, 2L * _bytes.Length)));
    }

    private sealed class Handle(MeteredFile file, string path, bool writable) : BlockStorage
    {
        public override string Name => path;

        public override long Length => file._length;

        public override bool IsReadOnly => !writable;

        public override StorageIdentity Identity => file.Identity;

        public override ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        {
            file._owner.Count(buffer.Length, 0);
            if (offset > file._length || buffer.Length > file._length - offset)
            {
                throw new BlockLayerException(BlockErrorKind.Io, $"The file ends at {file._length}, inside {buffer.Length} bytes at {offset}.") { Path = Name, Offset = offset };
            }

            int kept = (int)Math.Clamp(file._bytes.Length - offset, 0, buffer.Length);
            file._bytes.AsSpan((int)Math.Min(offset, file._bytes.Length), kept).CopyTo(buffer.Span);
            buffer.Span[kept..].Clear();
            return ValueTask.CompletedTask;
        }

        public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
        {
            file._owner.Count(0, buffer.Length);
            GrowTo(offset, buffer.Length);
            buffer.Span.CopyTo(file._bytes.AsSpan((int)offset));
            return ValueTask.CompletedTask;
        }

        public override ValueTask WriteZeroesAsync(long offset, long length, ZeroMode mode, CancellationToken cancellationToken)
        {
            file._owner.Count(0, length);
            GrowTo(offset, length);
            Clear(offset, length);
            return ValueTask.CompletedTask;
        }

        public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken)
        {
            file._owner.Count(0, 0);
            ThrowIfReadOnly();
            if (offset < file._length)
            {
                Clear(offset, Math.Min(length, file._length - offset));
            }

            return ValueTask.CompletedTask;
        }

        public override ValueTask FlushAsync(CancellationToken cancellationToken)
        {
            file._owner.Count(0, 0);
            return ValueTask.CompletedTask;
        }

        public override ValueTask SetLengthAsync(long length, CancellationToken cancellationToken)
        {
            file._owner.Count(0, 0);
            ThrowIfReadOnly();
            file.SetLength(length);
            return ValueTask.CompletedTask;
        }

        public override ValueTask<StorageExtent> GetExtentAsync(long offset, long length, CancellationToken cancellationToken)
        {
            file._owner.Count(0, 0);
            return new(offset < file._length
                ? new StorageExtent(Math.Min(length, file._length - offset), IsHole: false)
                : new StorageExtent(length, IsHole: true));
        }

        public override ValueTask DisposeAsync() => ValueTask.CompletedTask;

        private void GrowTo(long offset, long length)
        {
            ThrowIfReadOnly();
            if (offset > long.MaxValue - length || offset + length > file._length)
            {
                file.SetLength(offset > long.MaxValue - length ? long.MaxValue : offset + length);
            }

            file.Fill(offset + length);
        }

        private void Clear(long offset, long length)
        {
            if (offset < file._bytes.Length)
            {
                file._bytes.AsSpan((int)offset, (int)Math.Min(length, file._bytes.Length - offset)).Clear();
            }
        }

        private void ThrowIfReadOnly()
        {
            if (!writable)
            {
                throw new BlockLayerException(BlockErrorKind.ReadOnly, "The file is open read-only.") { Path = Name };
            }
        }
    }
}
