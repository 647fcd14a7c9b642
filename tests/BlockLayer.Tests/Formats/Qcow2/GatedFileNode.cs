using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.Tests.Formats.Qcow2;

/// <summary>A file whose next write to one place waits until it is let go: a request that is slow where a test wants it to be.</summary>
internal sealed class GatedFileNode(BlockNode file)
    : FilterNode($"gated {file.NodeName}", file, ImagePermissions.All, ImagePermissions.All)
{
    private readonly TaskCompletionSource _arrived = new();
    private readonly TaskCompletionSource _letGo = new();
    private long _heldOffset = -1;

    /// <inheritdoc/>
    public override string DriverName => "gated";

    /// <summary>Completes when the held write has come.</summary>
    internal Task Arrived => _arrived.Task;

    /// <summary>Holds the next write that covers this byte of the file.</summary>
    internal void HoldWriteTo(long offset) => _heldOffset = offset;

    /// <summary>Lets the held write go on.</summary>
    internal void LetGo() => _letGo.SetResult();

    private protected override async ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        if (_heldOffset >= offset && _heldOffset < offset + buffer.Length)
        {
            _heldOffset = -1;
            _arrived.SetResult();
            await _letGo.Task;
        }

        await base.WriteCoreAsync(offset, buffer, flags, cancellationToken);
    }
}
