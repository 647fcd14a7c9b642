namespace BlockLayer.Storage;

/// <summary>A run of a file: a hole that reads as zeroes, or anything.</summary>
/// <param name="Length">Length of the run in bytes, at least 1.</param>
/// <param name="IsHole">True when the run is known to read as zeroes.</param>
public readonly record struct StorageExtent(long Length, bool IsHole);
