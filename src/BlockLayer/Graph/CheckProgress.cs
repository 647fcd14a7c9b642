namespace BlockLayer.Graph;

/// <summary>How far a check is. Reported in order, never from two threads at once.</summary>
/// <param name="Done">Tables of the image that were looked through.</param>
/// <param name="Total">Tables of the image in all.</param>
public readonly record struct CheckProgress(long Done, long Total);
