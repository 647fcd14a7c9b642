namespace BlockLayer.Errors;

/// <summary>What is done when an outcome stands already. What fails of it changes nothing of the outcome and keeps nothing else from being done; it is told beside the outcome.</summary>
internal sealed class Aftermath
{
    private readonly List<Exception> _failures = [];

    /// <summary>The first failure; null for none.</summary>
    internal Exception? Error => _failures.FirstOrDefault();

    /// <summary>
    /// Undoes what was begun, after a failure. If that fails too, throws the failure with what is left told beside it (<see cref="ThrowIfLeft"/>). Else returns, and the caller throws the failure on.
    /// </summary>
    internal static async ValueTask UndoAsync(Exception reason, Func<ValueTask> undo)
    {
        var aftermath = new Aftermath();
        await aftermath.DoAsync(undo).ConfigureAwait(false);
        aftermath.ThrowIfLeft(reason);
    }

    /// <summary>Does one part of it.</summary>
    internal async ValueTask DoAsync(Func<ValueTask> part)
    {
        try
        {
            await part().ConfigureAwait(false);
        }
        catch (Exception error)
        {
            _failures.Add(error);
        }
    }

    /// <summary>
    /// Of an outcome that is a failure, after which something was to be undone: if not all of it could be, throws the same failure with what is left told beside it. Else does nothing,
    /// and the caller throws the failure on.
    /// </summary>
    /// <param name="reason">The failure. It is the cause of what is thrown, which has its kind, or is a cancellation as it is.</param>
    internal void ThrowIfLeft(Exception reason)
    {
        if (_failures.Count == 0)
        {
            return;
        }

        string message = $"{reason.Message} What was begun is not all undone: {string.Join(' ', _failures.Select(Describe))}";
        throw reason switch
        {
            BlockLayerException error => new BlockLayerException(error.Kind, message, error) { NodeName = error.NodeName, Path = error.Path, Offset = error.Offset },
            OperationCanceledException cancelled => new OperationCanceledException(message, cancelled, cancelled.CancellationToken),
            _ => new AggregateException(message, [reason, .. _failures]),
        };
    }

    private static string Describe(Exception failure)
        => failure is BlockLayerException { Path: { } path } && !failure.Message.Contains(path, StringComparison.Ordinal) ? $"'{path}': {failure.Message}" : failure.Message;
}
