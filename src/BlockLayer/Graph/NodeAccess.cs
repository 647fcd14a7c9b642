namespace BlockLayer.Graph;

/// <summary>Whether a node can be written.</summary>
public enum NodeAccess
{
    /// <summary>Every write is refused.</summary>
    ReadOnly,

    /// <summary>Reads and writes.</summary>
    ReadWrite,
}
