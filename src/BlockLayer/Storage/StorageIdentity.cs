namespace BlockLayer.Storage;

/// <summary>Which file this is, whatever name or link led to it: device and inode on Unix, volume and file index on Windows, a serial number in memory.</summary>
public readonly record struct StorageIdentity(ulong Device, ulong Inode);
