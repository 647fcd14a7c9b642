namespace BlockLayer.Errors;

/// <summary>
/// Two sides that have to hold the same bytes differ (<see cref="BlockErrorKind.Corrupt"/>). <see cref="BlockLayerException.Offset"/> is the guest offset of the
/// first differing byte.
/// </summary>
public sealed class ContentMismatchException : BlockLayerException
{
    /// <summary>Makes an error about the byte at <paramref name="offset"/>.</summary>
    /// <param name="offset">Guest offset of the first byte that differs.</param>
    /// <param name="node">The node that shows <paramref name="found"/>.</param>
    /// <param name="found">What the node holds there.</param>
    /// <param name="other">The node it is compared with.</param>
    /// <param name="expected">What the other node holds there.</param>
    public ContentMismatchException(long offset, string node, byte found, string other, byte expected)
        : base(BlockErrorKind.Corrupt, $"'{node}' and '{other}' differ: byte {offset} is 0x{found:x2} in the first and 0x{expected:x2} in the second.")
    {
        Offset = offset;
        NodeName = node;
        OtherNodeName = other;
        Found = found;
        Expected = expected;
    }

    /// <summary>The node it was compared with.</summary>
    public string OtherNodeName { get; }

    /// <summary>The byte in <see cref="BlockLayerException.NodeName"/>.</summary>
    public byte Found { get; }

    /// <summary>The byte in <see cref="OtherNodeName"/>.</summary>
    public byte Expected { get; }

    internal override BlockLayerException WithPath(string path)
        => new ContentMismatchException(Offset!.Value, NodeName!, Found, OtherNodeName, Expected) { Path = path };
}
