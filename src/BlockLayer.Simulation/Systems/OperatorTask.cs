using BlockLayer.Jobs;

namespace BlockLayer.Simulation;

/// <summary>What an operator has started and looks after.</summary>
/// <param name="Jobs">One job, or those of a transaction.</param>
internal sealed record OperatorTask(params BlockJob[] Jobs)
{
    /// <summary>Holds what the jobs have made against what it should be; called when all have completed. Null: there is nothing besides the disk.</summary>
    internal Func<ValueTask>? Verify { get; init; }

    /// <summary>Called in the end, with whether all have completed.</summary>
    internal Action<bool>? Ended { get; init; }

    /// <summary>What the target of one of them meets; null: nothing.</summary>
    internal TargetTrouble? Trouble { get; init; }

    /// <summary>What is remarkable about it, once all have completed; null: nothing.</summary>
    internal Corner? Remark { get; init; }
}
