namespace BlockLayer.Graph;

/// <summary>Work on a graph that has to be over before the graph is closed.</summary>
internal interface IGraphUser
{
    /// <summary>Asks the work to end, and waits until it needs the graph no more. Never fails, and may be called again.</summary>
    Task EndAsync();
}
