using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Filters;

/// <summary>Comparing what two nodes answered for the same range.</summary>
internal static class SideComparison
{
    /// <exception cref="ContentMismatchException">A byte differs; the first one is named.</exception>
    internal static void ThrowIfDifferent(long offset, BlockNode node, ReadOnlySpan<byte> found, BlockNode other, ReadOnlySpan<byte> expected)
    {
        int same = found.CommonPrefixLength(expected);
        if (same < found.Length)
        {
            throw new ContentMismatchException(offset + same, node.NodeName, found[same], other.NodeName, expected[same]) { Path = node.Path };
        }
    }
}
