namespace BlockLayer.Graph;

/// <summary>How far down a status question goes.</summary>
public enum StatusDepth
{
    /// <summary>This node alone: what it leaves to its backing node is not allocated.</summary>
    Node,

    /// <summary>The whole chain below as well.</summary>
    Chain,
}
