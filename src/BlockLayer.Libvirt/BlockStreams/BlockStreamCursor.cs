namespace BlockLayer.Libvirt;

/// <summary>
/// Where a caller of the third generation is in a device (<c>virDomainBlockStreamCursor</c>), moved on by each increment. A new one stands at the beginning. Its number means nothing to callers but that it
/// is 0 in the beginning and the <see cref="BlockStreamInfo.End"/> of the device in the end; it may be kept, and used again after a restart.
/// </summary>
/// <remarks>An object, because a call that is awaited cannot take a number by reference. One call at a time.</remarks>
public sealed class BlockStreamCursor
{
    /// <summary>A cursor at the beginning, or where one that was kept has been.</summary>
    public BlockStreamCursor(ulong value = 0) => Value = value;

    /// <summary>Where it is.</summary>
    public ulong Value { get; internal set; }

    /// <inheritdoc/>
    public override string ToString() => $"{Value}";
}
