using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.Formats.Raw;

/// <summary>
/// A raw disk: its file, one to one. Unlike the file it does not grow when written past its end, because a disk has a size.
/// </summary>
internal sealed class RawNode : BlockNode
{
    private readonly BlockEdge _file;
    private readonly MagicGuard? _guard; // only where raw was concluded from the absence of a magic

    internal RawNode(string nodeName, BlockNode file, NodeAccess access, FormatRegistry? ruledOut = null)
        : base(nodeName, file.Environment, access)
    {
        ImagePermissions reads = ImagePermissions.ConsistentRead;
        _file = access == NodeAccess.ReadWrite
            ? Attach(file, EdgeRole.Data, reads | ImagePermissions.Write | ImagePermissions.Resize, reads | ImagePermissions.WriteUnchanged)
            : Attach(file, EdgeRole.Data, reads, ImagePermissions.All & ~ImagePermissions.Resize);
        _guard = ruledOut is null || access == NodeAccess.ReadOnly ? null : new MagicGuard(_file, ruledOut);
        SetLength(file.Length);
    }

    /// <inheritdoc/>
    public override string DriverName => "raw";

    /// <inheritdoc/>
    public override string? Path => _file.Child.Path;

    private protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
        => _file.ReadAsync(offset, buffer, cancellationToken, flags);

    private protected override ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
        => _guard is null || offset >= MagicGuard.Length
            ? _file.WriteAsync(offset, buffer, cancellationToken, flags)
            : _guard.WriteAsync(offset, buffer, flags, cancellationToken);

    private protected override ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
        => _guard is null || offset >= MagicGuard.Length
            ? _file.WriteZeroesAsync(offset, length, flags, cancellationToken)
            : _guard.WriteZeroesAsync(offset, length, flags, cancellationToken);

    private protected override ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
        => _guard is null || offset >= MagicGuard.Length
            ? _file.DiscardAsync(offset, length, cancellationToken)
            : _guard.DiscardAsync(offset, length, cancellationToken);

    private protected override ValueTask FlushCoreAsync(CancellationToken cancellationToken) => _file.FlushAsync(cancellationToken);

    private protected override async ValueTask<BlockStatus> GetStatusCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        BlockStatus status = await _file.GetStatusAsync(offset, length, StatusDepth.Node, cancellationToken).ConfigureAwait(false);
        return status with { Provider = this };
    }

    private protected override async ValueTask ResizeCoreAsync(long length, ResizeOptions options, CancellationToken cancellationToken)
    {
        await _file.ResizeAsync(length, options, cancellationToken).ConfigureAwait(false);
        SetLength(length);
    }
}
