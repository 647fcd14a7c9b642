namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Released clusters in the order of their release, so neither drop nor epoch ever falls from front to back. Contiguous ones are kept as runs: discarding a whole
/// disk releases millions. Guarded by the allocation lock.
/// </summary>
internal sealed class Quarantine
{
    private readonly LinkedList<ReleasedRun> _runs = new();

    /// <summary>True when nothing is waiting.</summary>
    internal bool IsEmpty => _runs.Count == 0;

    /// <summary>Adds a run behind all others.</summary>
    internal void Add(ReleasedRun run)
    {
        if (_runs.Last is { } newest && newest.Value.TryExtend(run) is { } extended)
        {
            newest.Value = extended;
        }
        else
        {
            _runs.AddLast(run);
        }
    }

    /// <summary>The oldest run, if there is one.</summary>
    internal bool TryPeek(out ReleasedRun run)
    {
        run = _runs.First?.Value ?? default;
        return !IsEmpty;
    }

    /// <summary>Takes the first clusters of the oldest run out.</summary>
    internal void Remove(int clusters)
    {
        LinkedListNode<ReleasedRun> oldest = _runs.First!;
        if (clusters == oldest.Value.Count)
        {
            _runs.RemoveFirst();
        }
        else
        {
            oldest.Value = oldest.Value.Skip(clusters);
        }
    }
}
