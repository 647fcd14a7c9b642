using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;

namespace BlockLayer.Libvirt;

/// <summary>Looks for images that stand right on others, by the headers of what it finds (<see cref="FoundImages"/>).</summary>
internal sealed class OverlaySearch(BlockEnvironment environment)
{
    private readonly FoundImages _found = new(environment);

    /// <summary>Files that could not be read, and why: whether they stand on an image is not known.</summary>
    internal IReadOnlyList<UnjudgedFile> Unjudged => _found.Unreadable;

    /// <summary>Looks at all files of a folder, without the folders in it.</summary>
    /// <exception cref="BlockLayerException">NotFound, Denied, Io: it cannot be listed.</exception>
    /// <exception cref="LibvirtException">OperationUnsupported: there are too many files.</exception>
    internal async ValueTask LookInAsync(string folder, CancellationToken cancellationToken)
    {
        if (!await _found.LookInAsync(folder, cancellationToken).ConfigureAwait(false))
        {
            throw TooMany(folder);
        }
    }

    /// <summary>Looks at one file, if it exists.</summary>
    /// <exception cref="LibvirtException">OperationUnsupported: there are too many files.</exception>
    internal async ValueTask LookAtAsync(string path, CancellationToken cancellationToken)
    {
        if (!await _found.LookAtAsync(path, cancellationToken).ConfigureAwait(false))
        {
            throw TooMany(ReferenceResolver.DirectoryOf(path));
        }
    }

    /// <summary>The images that stand right on a file, as far as they were looked at.</summary>
    /// <param name="path">The file.</param>
    /// <param name="except">Files that are not meant: those of the disk's own chain.</param>
    internal IReadOnlyList<string> OverlaysOf(string path, IEnumerable<string> except)
    {
        if (environment.Files.GetInfo(path) is not { } info)
        {
            return [];
        }

        HashSet<StorageIdentity> own = [.. except.Select(environment.Files.GetInfo).OfType<StorageFileInfo>().Select(static file => file.Identity)];
        return [.. _found.All.Where(image => !own.Contains(image.Identity) && StandsOn(image, info.Identity)).Select(static image => image.Path)];
    }

    // A name that leads to no file leads to none of ours.
    private bool StandsOn(FoundImage image, StorageIdentity file)
        => image.ByEachName.Any(named => named.BackingNames.Any(name => FoundImages.PathOf(named, name) is { } path && environment.Files.GetInfo(path)?.Identity == file));

    private static LibvirtException TooMany(string folder) => new(
        LibvirtErrorCode.OperationUnsupported,
        LibvirtErrorDomain.DomainSnapshot,
        $"'{folder}' and the other folders with images hold more than {FoundImages.MaxFiles} files: whether one of them needs a file of the snapshot is not looked for.");
}
