using BlockLayer.Storage;

namespace BlockLayer.Images;

/// <summary>A file, and the backing files that it names: several where it shows the signature of several formats, and any of them may be the one that counts.</summary>
/// <param name="Path">The first name by which it was found.</param>
/// <param name="Identity">The file.</param>
/// <param name="BackingNames">The names, as they are.</param>
internal sealed record FoundImage(string Path, StorageIdentity Identity, IReadOnlyList<string> BackingNames);
