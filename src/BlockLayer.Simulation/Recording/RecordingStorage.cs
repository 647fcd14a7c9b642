using BlockLayer.Storage;

namespace BlockLayer.Simulation;

/// <summary>An open file of a <see cref="RecordingStorageProvider"/>.</summary>
internal sealed class RecordingStorage(BlockStorage inner, StorageLog log, int file, string path) : BlockStorage
{
    /// <inheritdoc/>
    public override string Name => inner.Name;

    /// <inheritdoc/>
    public override long Length => inner.Length;

    /// <inheritdoc/>
    public override bool IsReadOnly => inner.IsReadOnly;

    /// <inheritdoc/>
    public override StorageIdentity Identity => inner.Identity;

    /// <inheritdoc/>
    public override long? AllocatedLength => inner.AllocatedLength;

    /// <inheritdoc/>
    public override ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        => inner.ReadAsync(offset, buffer, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask ReadAsync(long offset, IReadOnlyList<Memory<byte>> buffers, CancellationToken cancellationToken)
        => inner.ReadAsync(offset, buffers, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask<StorageExtent> GetExtentAsync(long offset, long length, CancellationToken cancellationToken)
        => inner.GetExtentAsync(offset, length, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
        => RecordAsync(
            StorageOperations.Write, offset, buffer.Length, buffer.ToArray(), () => inner.WriteAsync(offset, buffer, cancellationToken), cancellationToken);

    /// <inheritdoc/>
    public override ValueTask WriteAsync(long offset, IReadOnlyList<ReadOnlyMemory<byte>> buffers, CancellationToken cancellationToken)
    {
        byte[] gathered = [.. buffers.SelectMany(static buffer => buffer.ToArray())];
        return RecordAsync(
            StorageOperations.Write, offset, gathered.Length, gathered, () => inner.WriteAsync(offset, buffers, cancellationToken), cancellationToken);
    }

    /// <inheritdoc/>
    public override ValueTask WriteZeroesAsync(long offset, long length, ZeroMode mode, CancellationToken cancellationToken)
        => RecordAsync(
            StorageOperations.WriteZeroes, offset, length, data: default, () => inner.WriteZeroesAsync(offset, length, mode, cancellationToken), cancellationToken);

    /// <inheritdoc/>
    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken)
        => RecordAsync(
            StorageOperations.Discard, offset, length, data: default, () => inner.DiscardAsync(offset, length, cancellationToken), cancellationToken);

    /// <inheritdoc/>
    public override ValueTask SetLengthAsync(long length, CancellationToken cancellationToken)
        => RecordAsync(
            StorageOperations.SetLength, length, length: 0, data: default, () => inner.SetLengthAsync(length, cancellationToken), cancellationToken);

    /// <inheritdoc/>
    public override ValueTask FlushAsync(CancellationToken cancellationToken)
        => RecordAsync(StorageOperations.Flush, offset: 0, length: 0, data: default, () => inner.FlushAsync(cancellationToken), cancellationToken);

    internal override ValueTask ChangeLockAsync(ImageLock wanted) => inner.ChangeLockAsync(wanted);

    /// <inheritdoc/>
    public override ValueTask DisposeAsync() => inner.DisposeAsync();

    /// <summary>Logs the beginning, then makes the call: had it been the other way round, a crash in between would find a change nobody has heard of.</summary>
    private async ValueTask RecordAsync(
        StorageOperations kind, long offset, long length, ReadOnlyMemory<byte> data, Func<ValueTask> call, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        bool changesNothing = length == 0 && kind is StorageOperations.Write or StorageOperations.WriteZeroes or StorageOperations.Discard;
        if (changesNothing || offset < 0 || length < 0 || (inner.IsReadOnly && kind != StorageOperations.Flush))
        {
            // Nothing to record, or misuse that the storage below refuses in its own words.
            await call().ConfigureAwait(false);
            return;
        }

        StorageLogEntry beginning = log.Begin(new StorageCall(kind, path, offset, length), file, data);
        try
        {
            await call().ConfigureAwait(false);
        }
        catch
        {
            log.End(beginning, StorageLogEvent.Failed);
            throw;
        }

        log.End(beginning, StorageLogEvent.Completed);
    }
}
