using BlockLayer.Graph;

namespace BlockLayer.Images;

/// <summary>
/// Asks for the status of a node in ascending order and remembers the run it stands in, so that small steps do not ask again. Not for several callers at once.
/// </summary>
internal sealed class StatusCursor
{
    private readonly BlockNode _node;
    private readonly StatusDepth _depth;
    private BlockStatus _run;
    private long _runStart;

    internal StatusCursor(BlockNode node, StatusDepth depth)
    {
        _node = node;
        _depth = depth;
    }

    /// <summary>What is known from <paramref name="offset"/> on. Past the end of the node it is zero, without an end.</summary>
    internal async ValueTask<BlockStatus> AtAsync(long offset, CancellationToken cancellationToken)
    {
        if (offset >= _node.Length)
        {
            return new BlockStatus(StatusFlags.Zero, long.MaxValue - offset);
        }

        if (offset < _runStart || offset - _runStart >= _run.Length)
        {
            _run = await _node.GetStatusAsync(offset, _node.Length - offset, _depth, cancellationToken).ConfigureAwait(false);
            _runStart = offset;
        }

        return _run with { Length = _runStart + _run.Length - offset };
    }
}
