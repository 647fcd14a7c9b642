using BlockLayer.Errors;
using BlockLayer.Storage;

namespace BlockLayer.TestKit;

/// <summary>One file of <see cref="MeteredFiles"/>: a growing array.</summary>
internal sealed class MeteredFile(MeteredFiles owner, string path, ulong inode)
{
    private readonly MeteredFiles _owner = owner;
    private byte[] _bytes = [];
    private int _length;

    internal StorageIdentity Identity { get; } = new(Device: 77, inode);

    internal ReadOnlySpan<byte> Content => _bytes.AsSpan(0, _length);

    internal void SetContent(ReadOnlySpan<byte> content)
    {
        _length = 0;
        SetLength(content.Length);
        content.CopyTo(_bytes);
    }

    internal BlockStorage Open(bool writable) => new Handle(this, path, writable);

    private void SetLength(long length)
    {
        if (length > _owner.FileLimit)
        {
            throw new BlockLayerException(BlockErrorKind.NoSpace, $"There is room for {_owner.FileLimit} bytes, not for {length}.") { Path = path };
        }

        if (length > _bytes.Length)
        {
            Array.Resize(ref _bytes, (int)Math.Max(length, Math.Min(_owner.FileLimit, 2L * _bytes.Length)));
        }

        if (length > _length)
        {
            _bytes.AsSpan(_length, (int)length - _length).Clear();
        }

        _length = (int)length;
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

            file._bytes.AsSpan((int)offset, buffer.Length).CopyTo(buffer.Span);
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
            file._bytes.AsSpan((int)offset, (int)length).Clear();
            return ValueTask.CompletedTask;
        }

        public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken)
        {
            file._owner.Count(0, 0);
            ThrowIfReadOnly();
            if (offset < file._length)
            {
                file._bytes.AsSpan((int)offset, (int)Math.Min(length, file._length - offset)).Clear();
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
