using BlockLayer.Storage;

namespace BlockLayer.Tests.Images.Hostile;

/// <summary>Storage, as a remote one might be, that answers every question about runs with one length.</summary>
internal sealed class LyingFiles(StorageProvider files, long answer) : StorageProvider
{
    public override async ValueTask<BlockStorage> OpenAsync(string path, StorageOpenOptions options, CancellationToken cancellationToken)
        => new LyingFile(await files.OpenAsync(path, options, cancellationToken), answer);

    public override StorageFileInfo? GetInfo(string path) => files.GetInfo(path);

    public override IReadOnlyList<string> ListFiles(string directory) => files.ListFiles(directory);

    public override string GetRealPath(string path) => files.GetRealPath(path);

    public override ValueTask RenameAsync(string path, string newPath, CancellationToken cancellationToken) => files.RenameAsync(path, newPath, cancellationToken);

    public override ValueTask DeleteAsync(string path, CancellationToken cancellationToken) => files.DeleteAsync(path, cancellationToken);

    public override ValueTask FlushDirectoryAsync(string path, CancellationToken cancellationToken) => files.FlushDirectoryAsync(path, cancellationToken);

    private sealed class LyingFile(BlockStorage file, long answer) : BlockStorage
    {
        public override string Name => file.Name;

        public override long Length => file.Length;

        public override bool IsReadOnly => file.IsReadOnly;

        public override StorageIdentity Identity => file.Identity;

        public override ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken) => file.ReadAsync(offset, buffer, cancellationToken);

        public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken) => file.WriteAsync(offset, buffer, cancellationToken);

        public override ValueTask WriteZeroesAsync(long offset, long length, ZeroMode mode, CancellationToken cancellationToken)
            => file.WriteZeroesAsync(offset, length, mode, cancellationToken);

        public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken) => file.DiscardAsync(offset, length, cancellationToken);

        public override ValueTask FlushAsync(CancellationToken cancellationToken) => file.FlushAsync(cancellationToken);

        public override ValueTask SetLengthAsync(long length, CancellationToken cancellationToken) => file.SetLengthAsync(length, cancellationToken);

        public override ValueTask<StorageExtent> GetExtentAsync(long offset, long length, CancellationToken cancellationToken)
            => new(new StorageExtent(answer, IsHole: false));

        public override ValueTask DisposeAsync() => file.DisposeAsync();
    }
}
