using BlockLayer.Graph;
using BlockLayer.Jobs;

namespace BlockLayer.Images;

/// <summary>Carries out the pieces of one task, several at a time, on the threads on which jobs copy: what has read a piece writes it, from its processor's cache, and wakes nobody for that.</summary>
internal static class ParallelWalk
{
    /// <summary>Begins pieces in the order in which they are given, and returns when all are done. The failure of the oldest is thrown; none begins after it.</summary>
    /// <typeparam name="TPiece">What a piece is.</typeparam>
    /// <param name="environment">Where they are carried out.</param>
    /// <param name="overlapping">How many are under way at once, at least 1; null for what suits the machine.</param>
    /// <param name="next">Gives the next piece, and null at the end. It is not called again before it has answered.</param>
    /// <param name="carryOut">Does one piece. It may run beside others.</param>
    /// <param name="cancellationToken">Handed to both.</param>
    internal static async ValueTask RunAsync<TPiece>(
        BlockEnvironment environment,
        int? overlapping,
        Func<CancellationToken, ValueTask<TPiece?>> next,
        Func<TPiece, CancellationToken, ValueTask> carryOut,
        CancellationToken cancellationToken)
        where TPiece : struct
    {
        // Twice the processors, so that each has another piece to go on with while one waits, be it for a disk or for an allocation.
        int most = overlapping ?? 2 * environment.Work.Degree;
        var underWay = new CopySteps(environment);
        try
        {
            while (await next(cancellationToken).ConfigureAwait(false) is { } piece)
            {
                if (underWay.Count == most)
                {
                    await underWay.EndFirstAsync().ConfigureAwait(false);
                }

                underWay.Start(default, () => CarryOutAsync(carryOut, piece, cancellationToken));
            }

            while (underWay.Count > 0)
            {
                await underWay.EndFirstAsync().ConfigureAwait(false);
            }
        }
        finally
        {
            await underWay.EndAllAsync().ConfigureAwait(false);
        }
    }

    // What a piece has achieved is the caller's to count.
    private static async ValueTask<Filters.CopyOutcome> CarryOutAsync<TPiece>(Func<TPiece, CancellationToken, ValueTask> carryOut, TPiece piece, CancellationToken cancellationToken)
    {
        await carryOut(piece, cancellationToken).ConfigureAwait(false);
        return default;
    }
}
