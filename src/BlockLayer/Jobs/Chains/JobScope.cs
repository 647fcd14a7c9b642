using BlockLayer.Graph;

namespace BlockLayer.Jobs;

/// <summary>The part of a chain that a job is about, told before the job is started.</summary>
/// <param name="Images">From the image that the job is named after down to the last one that is copied; not empty.</param>
/// <param name="Base">What stands below the last of them; null for nothing, or where it does not matter.</param>
internal sealed record JobScope(IReadOnlyList<BlockNode> Images, BlockNode? Base)
{
    internal BlockNode Top => Images[0];

    internal BlockNode Bottom => Images[^1];

    /// <inheritdoc/>
    public bool Equals(JobScope? other) => other is not null && Base == other.Base && Images.SequenceEqual(other.Images);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Top, Bottom, Base);
}
