namespace BlockLayer.Graph;

/// <summary>Where a request comes from.</summary>
internal enum Origin
{
    /// <summary>From outside the graph: a drain holds it back.</summary>
    Door,

    /// <summary>From a parent node, on behalf of a request that is already inside.</summary>
    Edge,
}
