using BlockLayer.Storage;

namespace BlockLayer.TestKit;

/// <summary>Files that note which paths are opened, count those that are open, and let a test act around an open.</summary>
internal sealed class WatchedFiles(StorageProvider files) : StorageProvider
{
    private int _open;

    /// <summary>Paths opened, in order.</summary>
    internal List<string> Opened { get; } = [];

    /// <summary>Files that are open now.</summary>
    internal int Open => Volatile.Read(ref _open);

    /// <summary>Called with the path before a file is opened.</summary>
    internal Action<string>? BeforeOpen { get; set; }

    /// <summary>Called with the path after a file was opened.</summary>
    internal Action<string>? AfterOpen { get; set; }

    public override async ValueTask<BlockStorage> OpenAsync(string path, StorageOpenOptions options, CancellationToken cancellationToken)
    {
        Opened.Add(path);
        BeforeOpen?.Invoke(path);
        BlockStorage opened = await files.OpenAsync(path, options, cancellationToken);
        AfterOpen?.Invoke(path);
        Interlocked.Increment(ref _open);
        return new Watched(opened, this);
    }

    public override StorageFileInfo? GetInfo(string path) => files.GetInfo(path);

    public override IReadOnlyList<string> ListFiles(string directory) => files.ListFiles(directory);

    public override string GetRealPath(string path) => files.GetRealPath(path);

    public override ValueTask RenameAsync(string path, string newPath, CancellationToken cancellationToken) => files.RenameAsync(path, newPath, cancellationToken);

    public override ValueTask DeleteAsync(string path, CancellationToken cancellationToken) => files.DeleteAsync(path, cancellationToken);

    public override ValueTask FlushDirectoryAsync(string path, CancellationToken cancellationToken) => files.FlushDirectoryAsync(path, cancellationToken);

    private sealed class Watched(BlockStorage file, WatchedFiles owner) : BlockStorage
    {
        private int _closed;

        public override string Name => file.Name;

        public override long Length => file.Length;

        public override bool IsReadOnly => file.IsReadOnly;

        public override StorageIdentity Identity => file.Identity;

        public override ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken) => file.ReadAsync(offset, buffer, cancellationToken);

        public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
            => file.WriteAsync(offset, buffer, cancellationToken);

        public override ValueTask WriteZeroesAsync(long offset, long length, ZeroMode mode, CancellationToken cancellationToken)
            => file.WriteZeroesAsync(offset, length, mode, cancellationToken);

        public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken) => file.DiscardAsync(offset, length, cancellationToken);

        public override ValueTask FlushAsync(CancellationToken cancellationToken) => file.FlushAsync(cancellationToken);

        public override ValueTask SetLengthAsync(long length, CancellationToken cancellationToken) => file.SetLengthAsync(length, cancellationToken);

        public override ValueTask<StorageExtent> GetExtentAsync(long offset, long length, CancellationToken cancellationToken)
            => file.GetExtentAsync(offset, length, cancellationToken);

        internal override ValueTask ChangeLockAsync(ImageLock wanted) => file.ChangeLockAsync(wanted);

        public override ValueTask DisposeAsync()
        {
            if (Interlocked.Exchange(ref _closed, 1) == 0)
            {
                Interlocked.Decrement(ref owner._open);
            }

            return file.DisposeAsync();
        }
    }
}
