namespace BlockLayer.Primitives;

/// <summary>
/// Waiting for time to pass. Unlike <c>Task.Delay</c>, whose cancellation resumes its waiter on the thread pool, both ends of the wait resume through
/// the <see cref="ReadyList"/>.
/// </summary>
internal static class Pause
{
    /// <summary>Waits for <paramref name="duration"/> of <paramref name="time"/>.</summary>
    /// <exception cref="OperationCanceledException">The token fired first.</exception>
    internal static async ValueTask ForAsync(TimeSpan duration, TimeProvider time, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var waiter = new Waiter<bool>();
        ITimer timer = time.CreateTimer(static state => Ring((Waiter<bool>)state!), waiter, duration, Timeout.InfiniteTimeSpan);
        await using (timer.ConfigureAwait(false))
        {
            ValueTask pause = waiter.VoidTask;
            waiter.ArmCancellation(cancellationToken);
            await pause.ConfigureAwait(false);
        }
    }

    private static void Ring(Waiter<bool> waiter)
    {
        if (waiter.TryGrant(true))
        {
            ReadyList.Post(waiter);
        }
    }
}
