using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.Formats.Raw;

/// <summary>
/// A raw disk: its file, one to one, or a window of it. Unlike the file it does not grow when written past its end, because a disk has a size; and what lies in
/// the file before or behind a window is never touched, because requests are within the disk.
/// </summary>
internal sealed class RawNode : BlockNode
{
    private readonly BlockEdge _file;
    private readonly RawWindow _window;
    private readonly FormatRegistry? _ruledOut;
    private MagicGuard? _guard; // only where raw was concluded from the absence of a magic, and the disk can be written

    /// <summary>A disk that is all of a file, or a window of it.</summary>
    /// <exception cref="BlockLayerException">OutOfRange: the file ends before the window does. The caller keeps the file.</exception>
    internal RawNode(string nodeName, BlockNode file, NodeAccess access, FormatRegistry? ruledOut = null, RawWindow? window = null)
        : base(nodeName, file.Environment, access)
    {
        _window = window ?? RawWindow.All;
        SetLength(_window.LengthIn(file.Length));
        _file = Attach(file, EdgeRole.Data, Needs, Shares);
        _ruledOut = ruledOut;
        _guard = MakeGuard();
    }

    /// <inheritdoc/>
    public override string DriverName => "raw";

    /// <inheritdoc/>
    public override string? Path => _file.Child.Path;

    internal override string? NotInName => _window == RawWindow.All ? null : "a window of its file";

    private ImagePermissions Needs => IsReadOnly
        ? ImagePermissions.ConsistentRead
        : ImagePermissions.ConsistentRead | ImagePermissions.Write | ImagePermissions.Resize;

    private ImagePermissions Shares => IsReadOnly
        ? ImagePermissions.All & ~ImagePermissions.Resize
        : ImagePermissions.ConsistentRead | ImagePermissions.WriteUnchanged;

    private protected override ValueTask BeginWritingCoreAsync(CancellationToken cancellationToken)
    {
        ChangePermissions(_file, Needs, Shares);
        _guard = MakeGuard();
        return ValueTask.CompletedTask;
    }

    private protected override ValueTask EndWritingCoreAsync()
    {
        ChangePermissions(_file, Needs, Shares);
        _guard = MakeGuard();
        return ValueTask.CompletedTask;
    }

    private protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
        => _file.ReadAsync(_window.Offset + offset, buffer, cancellationToken, flags);

    private protected override ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        long at = _window.Offset + offset;
        return _guard is null || at >= MagicGuard.Length
            ? _file.WriteAsync(at, buffer, cancellationToken, flags)
            : _guard.WriteAsync(at, buffer, flags, cancellationToken);
    }

    private protected override ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        long at = _window.Offset + offset;
        return _guard is null || at >= MagicGuard.Length
            ? _file.WriteZeroesAsync(at, length, flags, cancellationToken)
            : _guard.WriteZeroesAsync(at, length, flags, cancellationToken);
    }

    private protected override ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        long at = _window.Offset + offset;
        return _guard is null || at >= MagicGuard.Length
            ? _file.DiscardAsync(at, length, cancellationToken)
            : _guard.DiscardAsync(at, length, cancellationToken);
    }

    private protected override ValueTask FlushCoreAsync(CancellationToken cancellationToken) => _file.FlushAsync(cancellationToken);

    private protected override async ValueTask<BlockStatus> GetStatusCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        BlockStatus status = await _file.GetStatusAsync(_window.Offset + offset, length, StatusDepth.Node, cancellationToken).ConfigureAwait(false);
        return status with { Provider = this };
    }

    private protected override async ValueTask ResizeCoreAsync(long length, ResizeOptions options, CancellationToken cancellationToken)
    {
        if (_window.Size is not null)
        {
            throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' was opened with a size, so it keeps it; open it without one to resize it.");
        }

        if (length > long.MaxValue - _window.Offset)
        {
            throw Error(BlockErrorKind.OutOfRange, $"'{NodeName}' starts at {_window.Offset} in its file; with {length} bytes it would end behind the largest file.");
        }

        await _file.ResizeAsync(_window.Offset + length, options, cancellationToken).ConfigureAwait(false);
        SetLength(length);
    }

    private MagicGuard? MakeGuard() => _ruledOut is null || IsReadOnly ? null : new MagicGuard(_file, _ruledOut);
}
