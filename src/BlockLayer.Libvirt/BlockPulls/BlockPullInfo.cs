namespace BlockLayer.Libvirt;

/// <summary>How far a pull is.</summary>
/// <param name="Cur">From 0 on, in a unit of its own.</param>
/// <param name="End">Where it ends. <paramref name="Cur"/> is below it as long as the pull runs.</param>
public readonly record struct BlockPullInfo(ulong Cur, ulong End);
