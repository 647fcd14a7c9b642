namespace BlockLayer.Simulation;

/// <summary>One file with its own volatile write cache.</summary>
/// <remarks>
/// Invariants: <see cref="Current"/> is what reads see: the durable content plus every completed operation. <see cref="Durable"/> is what a power failure
/// leaves for certain. <see cref="Completed"/> holds, in order of completion, what completed and no flush has covered, <see cref="InFlight"/> what was
/// issued and has not completed, or never will be certain; any subset of the two may survive on top of the durable content.
/// </remarks>
internal sealed class CachedFile
{
    private readonly CachedVolume _volume;

    internal CachedFile(CachedVolume volume, ulong inode, SparseContent content)
    {
        _volume = volume;
        Inode = inode;
        Durable = content;
        Current = content.Fork();
    }

    /// <summary>The file's number, the same for life and after a crash.</summary>
    internal ulong Inode { get; }

    internal SparseContent Current { get; }

    internal SparseContent Durable { get; }

    internal List<PendingOperation> Completed { get; } = [];

    internal List<PendingOperation> InFlight { get; } = [];

    /// <summary>Begins a change; it may survive a crash from now on.</summary>
    internal PendingOperation Issue(StorageCall call, ReadOnlyMemory<byte> data)
    {
        PendingOperation operation = _volume.CreateOperation(call, this, data, newPath: null);
        InFlight.Add(operation);
        _volume.NotifyOperation();
        return operation;
    }

    /// <summary>Ends a change: reads see it now, the next flush covers it.</summary>
    /// <param name="operation">The change.</param>
    /// <param name="extent">How much of it was done.</param>
    internal void Complete(PendingOperation operation, SectorPattern extent)
    {
        InFlight.Remove(operation);
        operation.Extent = extent;
        operation.ApplyTo(Current, extent);
        operation.IsCompleted = true;
        operation.CompletedAt = _volume.NextCompletion();
        if (_volume.WriteCache == WriteCacheMode.WriteThrough)
        {
            _volume.NotifyDurabilityChange();
            operation.ApplyTo(Durable, extent);
            return;
        }

        Completed.Add(operation);
        _volume.NotifyOperation();
    }

    /// <summary>Forgets a change that was not made.</summary>
    internal void Abandon(PendingOperation operation) => InFlight.Remove(operation);

    /// <summary>The point up to which a flush that begins now covers completed changes.</summary>
    internal long BeginFlush() => _volume.CompletionCount;

    /// <summary>Makes durable what had completed at <paramref name="point"/>.</summary>
    internal void EndFlush(long point)
    {
        _volume.NotifyDurabilityChange();
        Settle(point, static (_, _) => true, state: 0);
    }

    /// <summary>
    /// A flush failed and the kernel marked the pages clean: a seeded part of what it covered was written, and no later flush will write the rest.
    /// </summary>
    internal void DropDirty(long point, SeededRandom random)
    {
        _volume.NotifyDurabilityChange();
        Settle(point, static (_, random) => random.Chance(0.5), random);
    }

    /// <summary>
    /// A flush failed and nobody can say what it wrote: what it covered may survive or not, and no later flush makes it certain.
    /// </summary>
    internal void Disown(long point)
    {
        _volume.NotifyDurabilityChange();
        InFlight.AddRange(Completed.Where(operation => operation.CompletedAt <= point));
        Completed.RemoveAll(operation => operation.CompletedAt <= point);
    }

    private void Settle<TState>(long point, Func<PendingOperation, TState, bool> isWritten, TState state)
    {
        int covered = 0;
        while (covered < Completed.Count && Completed[covered].CompletedAt <= point)
        {
            PendingOperation operation = Completed[covered++];
            if (isWritten(operation, state))
            {
                operation.ApplyTo(Durable, operation.Extent);
            }
        }

        Completed.RemoveRange(0, covered);
    }
}
