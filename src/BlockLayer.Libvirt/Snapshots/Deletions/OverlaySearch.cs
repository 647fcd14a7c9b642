using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;

namespace BlockLayer.Libvirt;

/// <summary>
/// Looks for images that stand right on others. Of each file only the header is read; a name in it is followed to a file, as links resolve, and nothing that it names is opened.
/// </summary>
internal sealed class OverlaySearch(BlockEnvironment environment)
{
    private const int MaxFiles = 10_000;

    private readonly Dictionary<StorageIdentity, Candidate> _candidates = [];
    private readonly List<StorageIdentity> _order = []; // of _candidates: as they were met

    /// <summary>Files that could not be read, and why: whether they stand on an image is not known.</summary>
    internal List<UnjudgedFile> Unjudged { get; } = [];

    /// <summary>Looks at all files of a folder, without the folders in it; one that does not exist has none.</summary>
    /// <exception cref="BlockLayerException">Denied, Io: it cannot be listed.</exception>
    internal async ValueTask LookInAsync(string folder, CancellationToken cancellationToken)
    {
        foreach (string path in environment.Files.ListFiles(folder))
        {
            await LookAtAsync(path, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Looks at one file, if it exists.</summary>
    internal async ValueTask LookAtAsync(string path, CancellationToken cancellationToken)
    {
        if (environment.Files.GetInfo(path) is not { } info || _candidates.ContainsKey(info.Identity))
        {
            return;
        }

        cancellationToken.ThrowIfCancellationRequested();
        if (_order.Count >= MaxFiles)
        {
            throw new LibvirtException(
                LibvirtErrorCode.OperationUnsupported,
                LibvirtErrorDomain.DomainSnapshot,
                $"'{ReferenceResolver.DirectoryOf(path)}' and the other folders with images hold more than {MaxFiles} files: whether one of them needs a file of the snapshot is not looked for.");
        }

        List<StorageIdentity> below = [];
        try
        {
            // Without locks: who writes an image does not change what it stands on, and the look must not disturb him.
            var how = new InspectOptions { Environment = environment, Locking = ImageLocking.Ignore };
            ImageInspection inspection = await ImageInspector.InspectAsync(path, how, cancellationToken).ConfigureAwait(false);
            below.AddRange(inspection.References
                .Where(static reference => reference is { Role: FileReferenceRole.Backing, Name: not null })
                .Select(reference => Follow(path, reference.Name!))
                .OfType<StorageIdentity>());
        }
        catch (BlockLayerException error)
        {
            Unjudged.Add(new UnjudgedFile(path, error.Message));
        }

        _candidates.Add(info.Identity, new Candidate(path, below));
        _order.Add(info.Identity);
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
        return [.. _order.Where(identity => !own.Contains(identity) && _candidates[identity].Below.Contains(info.Identity)).Select(identity => _candidates[identity].Path)];
    }

    // A name that leads to no file leads to none of ours.
    private StorageIdentity? Follow(string image, string name)
        => ReferenceResolver.PlainName(name, ReferencePolicy.Anywhere) is { } plain && !plain.Contains('\0', StringComparison.Ordinal)
            ? environment.Files.GetInfo(ReferenceResolver.PathOf(image, plain))?.Identity
            : null;

    private sealed record Candidate(string Path, IReadOnlyList<StorageIdentity> Below);
}
