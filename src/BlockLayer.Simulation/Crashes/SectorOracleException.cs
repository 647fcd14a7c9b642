namespace BlockLayer.Simulation;

/// <summary>A guest's sector holds something that it was never promised.</summary>
public sealed class SectorOracleException : Exception
{
    /// <summary>Makes the error for the sector at <paramref name="offset"/>.</summary>
    public SectorOracleException(long offset, string message)
        : base(message)
        => Offset = offset;

    /// <summary>First byte of the sector, in the guest's address space.</summary>
    public long Offset { get; }
}
