namespace BlockLayer.Jobs;

/// <summary>How a job ended.</summary>
public enum JobOutcome
{
    /// <summary>All was done, and is durable.</summary>
    Completed,

    /// <summary>It was cancelled. What it had done is not undone; another run goes on from there.</summary>
    Cancelled,

    /// <summary>It failed. What it had done is not undone; another run goes on from there.</summary>
    Failed,
}
