using BlockLayer.Graph;

namespace BlockLayer.Filters;

/// <summary>What a <see cref="LiveCopyNode"/> is made of.</summary>
/// <param name="Source">An image, or a filter on it.</param>
/// <param name="GranularityBits">log2 of the bytes that one mark stands for.</param>
/// <param name="GuestsFirst">The job's copies wait while this many guest requests wait.</param>
/// <param name="Job">What the job calls itself.</param>
internal sealed record LiveCopySetup(BlockNode Source, int GranularityBits, int GuestsFirst, string Job)
{
    /// <summary>Called when the target failed under a guest's change, on whatever thread that was; the range is marked already.</summary>
    internal required Action<Exception> TargetFailed { get; init; }

    /// <summary>Called once after <see cref="LiveCopyNode.Watch"/>, when something is marked.</summary>
    internal required Action Marked { get; init; }
}
