namespace BlockLayer.Formats.Qed;

/// <summary>Byte position in the image file.</summary>
internal readonly record struct HostOffset(long Value)
{
    /// <summary>The position <paramref name="bytes"/> further.</summary>
    public HostOffset Plus(long bytes) => new(checked(Value + bytes));

    /// <inheritdoc/>
    public override string ToString() => $"host 0x{Value:x}";
}
