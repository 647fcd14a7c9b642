namespace BlockLayer.Primitives;

/// <summary>How far an operation is. Reported in order, never from two threads at once.</summary>
/// <param name="Done">Bytes of the virtual disk that are dealt with, skipped ones included.</param>
/// <param name="Total">Bytes of the virtual disk in all.</param>
public readonly record struct ByteProgress(long Done, long Total);
