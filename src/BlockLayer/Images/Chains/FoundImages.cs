using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.Images;

/// <summary>
/// Files that were found in directories, and what their headers name as backing files. Of each file only the header is read; a name in it is followed to a file, as links resolve, and
/// nothing that it names is opened.
/// </summary>
/// <param name="environment">Where the files are.</param>
/// <param name="isLeftOut">Files that are not looked at; null for none.</param>
internal sealed class FoundImages(BlockEnvironment environment, Predicate<StorageIdentity>? isLeftOut = null)
{
    /// <summary>The most files that are looked at.</summary>
    internal const int MaxFiles = 10_000;

    private readonly Dictionary<StorageIdentity, FoundImage> _byIdentity = [];
    private readonly List<FoundImage> _all = [];
    private readonly List<UnjudgedFile> _unreadable = [];

    /// <summary>What was found, in the order in which it was met.</summary>
    internal IReadOnlyList<FoundImage> All => _all;

    /// <summary>Those that could not be read, and why.</summary>
    internal IReadOnlyList<UnjudgedFile> Unreadable => _unreadable;

    /// <summary>One that was found; null for none.</summary>
    internal FoundImage? Find(StorageIdentity identity) => _byIdentity.GetValueOrDefault(identity);

    /// <summary>Looks at all files of a directory, without the directories in it.</summary>
    /// <returns>False: there are too many, and the rest was not looked at.</returns>
    /// <exception cref="BlockLayerException">NotFound, Denied, Io: it cannot be listed.</exception>
    internal async ValueTask<bool> LookInAsync(string directory, CancellationToken cancellationToken)
    {
        foreach (string path in environment.Files.ListFiles(directory))
        {
            if (!await LookAtAsync(path, cancellationToken).ConfigureAwait(false))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Looks at one file or device, if it exists.</summary>
    /// <returns>False: there are too many already.</returns>
    internal async ValueTask<bool> LookAtAsync(string path, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (environment.Files.GetInfo(path) is not { Kind: StorageFileKind.Regular or StorageFileKind.BlockDevice } info
            || (isLeftOut is not null && isLeftOut(info.Identity)))
        {
            return true;
        }

        if (Find(info.Identity) is { } known)
        {
            known.AddName(path);
            return true;
        }

        if (_all.Count >= MaxFiles)
        {
            return false;
        }

        string[] names = [];
        try
        {
            // Without locks: who writes the image does not change what it stands on, and the look must not disturb him.
            var options = new InspectOptions { Environment = environment, Locking = ImageLocking.Ignore };
            ImageInspection inspection = await ImageInspector.InspectAsync(path, options, cancellationToken).ConfigureAwait(false);
            names = [.. inspection.References.Where(static reference => reference is { Role: FileReferenceRole.Backing, Name: not null }).Select(static reference => reference.Name!)];
        }
        catch (BlockLayerException error)
        {
            _unreadable.Add(new UnjudgedFile(path, error.Message));
        }

        var image = new FoundImage(path, info.Identity, names);
        _byIdentity.Add(info.Identity, image);
        _all.Add(image);
        return true;
    }

    /// <summary>Where a name in an image's header leads; null where it is no plain file name.</summary>
    internal static string? PathOf(FoundImage image, string name)
        => ReferenceResolver.PlainName(name, ReferencePolicy.Anywhere) is { } plain && !plain.Contains('\0', StringComparison.Ordinal)
            ? ReferenceResolver.PathOf(image.Path, plain)
            : null;
}
