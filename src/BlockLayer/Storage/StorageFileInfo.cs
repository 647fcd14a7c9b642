namespace BlockLayer.Storage;

/// <summary>What a path leads to.</summary>
/// <param name="Identity">Which file it is.</param>
/// <param name="Kind">What kind of file.</param>
/// <param name="Length">Its length in bytes; for a device, its capacity.</param>
public sealed record StorageFileInfo(StorageIdentity Identity, StorageFileKind Kind, long Length);
