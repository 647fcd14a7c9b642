using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.Images;

/// <summary>A file, and the backing files that it names: several where it shows the signature of several formats, and any of them may be the one that counts.</summary>
/// <param name="Path">The first name by which it was found.</param>
/// <param name="Identity">The file.</param>
/// <param name="BackingNames">The names, as they are.</param>
internal sealed record FoundImage(string Path, StorageIdentity Identity, IReadOnlyList<string> BackingNames)
{
    private readonly List<string> _elsewhere = []; // one more name in each other directory that has the file

    /// <summary>The image by a name in each directory that has one: what it names is relative to the one that it is opened by, and any may be.</summary>
    internal IEnumerable<FoundImage> ByEachName => _elsewhere.Select(path => this with { Path = path }).Prepend(this);

    /// <summary>Adds a name, unless one in the same directory is known.</summary>
    internal void AddName(string path)
    {
        string directory = ReferenceResolver.DirectoryOf(path);
        if (ByEachName.All(known => ReferenceResolver.DirectoryOf(known.Path) != directory))
        {
            _elsewhere.Add(path);
        }
    }
}
