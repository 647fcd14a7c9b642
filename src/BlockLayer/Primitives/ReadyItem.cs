namespace BlockLayer.Primitives;

/// <summary>Something to run once no lock is held; the links of the queue are inside the item, so that posting allocates nothing.</summary>
internal abstract class ReadyItem
{
    /// <summary>Owned by the list the item stands in.</summary>
    internal ReadyItem? Next;

    /// <summary>Completes a caller. Must not throw: an exception here has nobody to be told.</summary>
    internal abstract void Run();
}
