using BlockLayer.Primitives;

namespace BlockLayer.Simulation;

/// <summary>One call to storage.</summary>
/// <param name="Kind">What is asked; one operation.</param>
/// <param name="Path">Of which file or directory, as its real path.</param>
/// <param name="Offset">First byte; the new length for <see cref="StorageOperations.SetLength"/>; else 0.</param>
/// <param name="Length">Bytes; 0 where the operation has no range.</param>
public readonly record struct StorageCall(StorageOperations Kind, string Path, long Offset, long Length)
{
    /// <summary>The bytes concerned.</summary>
    public ByteRange Range => new(Offset, Length);

    /// <inheritdoc/>
    public override string ToString() => Kind switch
    {
        StorageOperations.SetLength => $"SetLength {Path} {Offset}",
        StorageOperations.Read or StorageOperations.Write or StorageOperations.WriteZeroes or StorageOperations.Discard or StorageOperations.GetExtent
            => $"{Kind} {Path} {Range}",
        _ => $"{Kind} {Path}",
    };
}
