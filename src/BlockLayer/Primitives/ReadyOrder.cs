namespace BlockLayer.Primitives;

/// <summary>Takes over the completions of one thread so that a seeded scheduler decides when and in which order they run.</summary>
internal abstract class ReadyOrder
{
    /// <summary>Keeps <paramref name="item"/> until the scheduler runs it.</summary>
    internal abstract void Add(ReadyItem item);
}
