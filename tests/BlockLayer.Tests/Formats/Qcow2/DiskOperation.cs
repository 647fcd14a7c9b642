using System.Globalization;

namespace BlockLayer.Tests.Formats.Qcow2;

/// <summary>One step of a random test. Every step is valid whatever other steps are dropped: its range is cut to the disk when it runs.</summary>
/// <param name="Kind">What to do.</param>
/// <param name="Offset">Byte offset, before it is cut.</param>
/// <param name="Length">Bytes.</param>
public sealed record DiskOperation(DiskOperationKind Kind, int Offset, int Length)
{
    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Kind}({Offset}, {Length})");
}

/// <summary>What a step does.</summary>
public enum DiskOperationKind
{
    Write,
    WriteCompressed,
    WriteZeroes,
    WriteZeroesUnmap,
    Discard,
    Populate,
    PopulateZeroes,
    Flush,
    Grow,
    Shrink,
    Reopen,
    Compare,
}
