using BlockLayer.Graph;
using BlockLayer.Storage;
using Xunit;

namespace BlockLayer.TestKit.Graph;

/// <summary>
/// A node over a file whose calls go by a <see cref="Script"/>, with the limits a test wants. It checks what the base promises a driver: requests
/// in bounds, in whole units, within the longest transfer, never empty, never with FUA.
/// </summary>
internal sealed class ScriptedNode : BlockNode
{
    private readonly BlockStorage _content;
    private readonly bool _grows;

    /// <summary>A node as long as <paramref name="content"/>, which it owns.</summary>
    internal ScriptedNode(BlockStorage content, BlockEnvironment environment, BlockLimits? limits = null, Script? script = null, bool grows = false)
        : base(content.Name, environment, NodeAccess.ReadWrite)
    {
        _content = content;
        _grows = grows;
        Script = script ?? new Script();
        SetLength(content.Length);
        SetLimits(limits ?? new BlockLimits());
    }

    public override string DriverName => "scripted";

    internal Script Script { get; }

    private protected override bool GrowsOnWrite => _grows;

    /// <summary>A node of zeroes in memory.</summary>
    internal static async ValueTask<ScriptedNode> CreateAsync(
        BlockEnvironment environment,
        long length,
        BlockLimits? limits = null,
        bool grows = false,
        string name = "scripted")
    {
        BlockStorage content = await environment.Files.OpenAsync(
            name, new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateOrTruncate }, CancellationToken.None);
        await content.SetLengthAsync(length, CancellationToken.None);
        return new ScriptedNode(content, environment, limits, grows: grows);
    }

    private protected override async ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
    {
        AssertAdmitted(offset, buffer.Length, Length);
        await Script.ReceiveAsync(new("read", offset, buffer.Length));
        await _content.ReadAsync(offset, buffer, cancellationToken);
    }

    private protected override async ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        AssertAdmitted(offset, buffer.Length, _grows ? Math.Max(Length, offset + buffer.Length) : Length);
        Assert.False(flags.HasFlag(WriteFlags.Fua));
        await Script.ReceiveAsync(new("write", offset, buffer.Length));
        await _content.WriteAsync(offset, buffer, cancellationToken);
        RaiseLength(offset + buffer.Length);
    }

    private protected override async ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        Assert.True(length > 0 && length <= Length - offset);
        await Script.ReceiveAsync(new("discard", offset, length));
        await _content.DiscardAsync(offset, length, cancellationToken);
    }

    private protected override async ValueTask FlushCoreAsync(CancellationToken cancellationToken)
    {
        await Script.ReceiveAsync(new("flush"));
        await _content.FlushAsync(cancellationToken);
    }

    private protected override async ValueTask<BlockStatus> GetStatusCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        await Script.ReceiveAsync(new("status", offset, length));
        return BlockStatus.DataAt(length, offset, this);
    }

    private protected override async ValueTask ResizeCoreAsync(long length, ResizeOptions options, CancellationToken cancellationToken)
    {
        await Script.ReceiveAsync(new("resize", length));
        await _content.SetLengthAsync(length, cancellationToken);
        SetLength(length);
    }

    private protected override async ValueTask CloseCoreAsync()
    {
        try
        {
            await Script.ReceiveAsync(new("close"));
        }
        finally
        {
            await _content.DisposeAsync();
        }
    }

    private void AssertAdmitted(long offset, int length, long end)
    {
        string request = $"{length} bytes at {offset} of {end}";
        Assert.True(length > 0, $"{request}: empty");
        Assert.True(offset >= 0 && length <= end - offset, $"{request}: out of bounds");
        Assert.True(length <= Limits.MaxTransfer, $"{request}: longer than a transfer of {Limits.MaxTransfer}");
        Assert.True(offset % Limits.RequestAlignment == 0, $"{request}: does not begin with a unit of {Limits.RequestAlignment}");
        Assert.True(offset + length == end || (offset + length) % Limits.RequestAlignment == 0, $"{request}: does not end with a unit of {Limits.RequestAlignment}");
    }
}
