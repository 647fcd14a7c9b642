namespace BlockLayer.Simulation;

/// <summary>A read of a guest between its beginning and its end, as a <see cref="SectorOracle"/> remembers it.</summary>
public sealed class OracleRead
{
    internal OracleRead(long offset, long beganAt, OracleWrite[][] before)
    {
        Offset = offset;
        BeganAt = beganAt;
        Before = before;
    }

    /// <summary>First byte of the read.</summary>
    public long Offset { get; }

    internal long BeganAt { get; }

    /// <summary>For each sector, the writes that could be its value when the read began.</summary>
    internal OracleWrite[][] Before { get; }

    /// <summary>The writes that began since, wherever they go: a flush may settle them and be forgotten before the read ends.</summary>
    internal List<OracleWrite> Since { get; } = [];
}
