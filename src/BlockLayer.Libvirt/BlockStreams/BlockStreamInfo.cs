namespace BlockLayer.Libvirt;

/// <summary>A device that is being streamed, as the third generation tells it (<c>virDomainBlockStreamInfo</c>). <see cref="Cur"/> out of <see cref="End"/> is about how much of it is done.</summary>
/// <param name="Path">The path of its active image; with its terminating zero byte at most <see cref="BlockStreamApi.PathMax"/> bytes.</param>
/// <param name="Cur">From 0 to <paramref name="End"/>.</param>
/// <param name="End">The cursor that the operation ends with.</param>
public readonly record struct BlockStreamInfo(string Path, ulong Cur, ulong End);
