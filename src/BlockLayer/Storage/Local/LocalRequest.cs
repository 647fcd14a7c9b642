namespace BlockLayer.Storage;

/// <summary>What a <see cref="LocalFileCall"/> is to do; members that <see cref="Kind"/> does not need are left out.</summary>
internal struct LocalRequest
{
    internal LocalRequestKind Kind;
    internal long Offset;
    internal long Length;
    internal ZeroMode Zeroes;

    /// <summary>The rest of a transfer; <see cref="Offset"/> is where it goes on.</summary>
    internal BufferCursor Buffers;

    /// <summary>Where a copy goes.</summary>
    internal LocalFile? Target;
    internal long TargetOffset;
}
