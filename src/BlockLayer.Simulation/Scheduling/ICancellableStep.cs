namespace BlockLayer.Simulation;

/// <summary>A scheduled step that may have lost its meaning before its time comes. Virtual time does not advance for such a step.</summary>
internal interface ICancellableStep
{
    /// <summary>True when running it would do nothing.</summary>
    bool IsCancelled { get; }
}
