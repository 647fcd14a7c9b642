using BlockLayer.Errors;
using BlockLayer.Storage;

namespace BlockLayer.Graph;

/// <summary>
/// Turns the name of a backing or data file into a path that may be opened, for one chain: relative to the file that names it, inside the allowed roots, and
/// none of the files above it.
/// </summary>
internal sealed class ReferenceResolver
{
    private readonly StorageProvider _files;
    private readonly List<string> _roots = [];
    private readonly List<StorageIdentity> _above = [];     // images, the top one first
    private readonly List<StorageIdentity> _dataFiles = []; // of those images

    internal ReferenceResolver(StorageProvider files, OpenPolicy policy, string topPath)
    {
        _files = files;
        Policy = policy;
        if (policy.References == ReferencePolicy.UnderRoots)
        {
            _roots.Add(files.GetRealPath(DirectoryOf(topPath)));
            _roots.AddRange(policy.AllowedRoots.Select(files.GetRealPath));
        }
    }

    internal OpenPolicy Policy { get; }

    /// <summary>The directory part of a path; <c>.</c> if it has none.</summary>
    internal static string DirectoryOf(string path) => Path.GetDirectoryName(path) is { Length: > 0 } directory ? directory : ".";

    /// <summary>The path that <paramref name="name"/> means inside the image <paramref name="namedBy"/>.</summary>
    internal static string PathOf(string namedBy, string name) => Path.IsPathRooted(name) ? name : Path.Combine(DirectoryOf(namedBy), name);

    /// <summary>What stands before a colon that makes a name no plain path, to QEMU and to us; null for a plain one. A slash before the colon makes it plain.</summary>
    internal static string? ProtocolOf(string name)
    {
        int colon = name.IndexOf(':', StringComparison.Ordinal);
        int slash = name.IndexOf('/', StringComparison.Ordinal);
        bool isPlain = colon < 0 || (slash >= 0 && slash < colon) || Path.IsPathRooted(name); // rooted with a colon: a drive, where there are drives
        return isPlain ? null : name[..colon];
    }

    /// <summary>The path to open for a backing file.</summary>
    /// <exception cref="OpenDeniedException">The policy does not allow it.</exception>
    /// <exception cref="BlockLayerException">NotFound: there is no such file; InvalidFormat: the chain loops or is too long.</exception>
    internal string Resolve(BlockNode image, BackingReference reference)
    {
        string path = Resolve(new NamedFile(image.NodeName, image.Path ?? image.NodeName, reference.Name, $"{reference}", "backing file")
        {
            IsFormatUnknown = reference.Format is null && !reference.DecidedByMagic,
        });
        if (_above.Count >= Policy.MaxChainLength)
        {
            throw new BlockLayerException(
                BlockErrorKind.InvalidFormat,
                $"The backing chain is longer than {Policy.MaxChainLength} images, the most that the policy {Policy.Name} opens.") { Path = path };
        }

        return path;
    }

    /// <summary>The path to open for the data file that the image at <paramref name="image"/> names.</summary>
    /// <exception cref="OpenDeniedException">The policy does not allow it.</exception>
    /// <exception cref="BlockLayerException">NotFound: there is no such file; InvalidFormat: it is one of the chain's files already.</exception>
    internal string ResolveDataFile(string image, string name) => Resolve(new NamedFile(image, image, name, $"'{name}'", "data file"));

    private string Resolve(NamedFile reference)
    {
        if (Policy.References == ReferencePolicy.Refuse)
        {
            throw Denied(reference, $"The policy {Policy.Name} opens no {reference.Role}s.");
        }

        if (reference.Name.Contains('\0', StringComparison.Ordinal))
        {
            throw new BlockLayerException(
                BlockErrorKind.InvalidFormat,
                $"'{reference.ImageName}' names a {reference.Role} with a NUL in its name, which no file has.")
            {
                NodeName = reference.ImageName,
                Path = reference.ImagePath,
            };
        }

        if (reference.IsFormatUnknown && Policy.Probing is ProbingPolicy.TopByMagic or ProbingPolicy.Never)
        {
            throw Denied(reference, $"Its format is not recorded, and the policy {Policy.Name} does not allow to guess it; record it in the overlay.");
        }

        string name = PlainName(reference.Name, Policy.References)
            ?? throw Denied(reference, $"Only plain file names are opened, no '{ProtocolOf(reference.Name)}:' references.");
        string path = PathOf(reference.ImagePath, name);
        if (Policy.References == ReferencePolicy.UnderRoots)
        {
            string real = RealPathOf(path);
            if (!IsUnderRoots(real))
            {
                throw Denied(reference, $"It lies in '{DirectoryOf(real)}', outside {string.Join(", ", _roots.Distinct().Select(root => $"'{root}'"))}; allow that directory to open it.");
            }
        }

        StorageFileInfo info = _files.GetInfo(path)
            ?? throw new BlockLayerException(
                BlockErrorKind.NotFound,
                $"The {reference.Role} {reference.Shown} of '{reference.ImageName}' does not exist at '{path}'.")
            {
                NodeName = reference.ImageName,
                Path = path,
            };
        if (info.Kind != StorageFileKind.Regular && Policy.References == ReferencePolicy.UnderRoots)
        {
            throw Denied(reference, $"'{path}' is not a regular file.");
        }

        ThrowIfAbove(info.Identity, path, reference.Role);
        return path;
    }

    /// <summary>
    /// Remembers an opened file, and refuses one that is open already further up, or that is not the file which lies under the roots: its path may have been
    /// made to lead elsewhere since it was resolved.
    /// </summary>
    /// <exception cref="OpenDeniedException">The path does not lead to this file under an allowed root.</exception>
    /// <exception cref="BlockLayerException">InvalidFormat: the chain loops.</exception>
    internal void ThrowIfNotAllowed(BlockStorage storage, string path) => Remember(storage, path, _above, "backing file");

    /// <summary>As <see cref="ThrowIfNotAllowed"/>, for a data file.</summary>
    internal void ThrowIfDataFileNotAllowed(BlockStorage storage, string path) => Remember(storage, path, _dataFiles, "data file");

    private void Remember(BlockStorage storage, string path, List<StorageIdentity> among, string role)
    {
        if (_above.Count > 0 && Policy.References == ReferencePolicy.UnderRoots)
        {
            string real = RealPathOf(path);
            if (!IsUnderRoots(real) || _files.GetInfo(real)?.Identity != storage.Identity)
            {
                throw new OpenDeniedException(Policy.Name, path, $"'{path}' was replaced while it was opened; the policy {Policy.Name} cannot tell where its file lies.")
                {
                    Path = path,
                };
            }
        }

        ThrowIfAbove(storage.Identity, path, role);
        among.Add(storage.Identity);
    }

    private bool IsUnderRoots(string real) => _roots.Exists(root => IsUnder(real, root));

    // Where the path leads; if nothing is there, where the part of it leads that exists. So a name outside the roots is refused alike whether it exists or
    // not, and nobody learns from the answer what lies there.
    private string RealPathOf(string path)
    {
        for (string part = path; ; part = DirectoryOf(part))
        {
            try
            {
                return _files.GetRealPath(part);
            }
            catch (BlockLayerException error) when (error.Kind == BlockErrorKind.NotFound && part is not ("." or "/"))
            {
                // Look one directory up.
            }
        }
    }

    private static bool IsUnder(string path, string root)
        => path.StartsWith(root, StringComparison.Ordinal)
            && (path.Length == root.Length || IsSeparator(root[^1]) || IsSeparator(path[root.Length]));

    private static bool IsSeparator(char character) => character == '/' || character == Path.DirectorySeparatorChar;

    private void ThrowIfAbove(StorageIdentity identity, string path, string role)
    {
        if (_dataFiles.Contains(identity))
        {
            throw new BlockLayerException(
                BlockErrorKind.InvalidFormat,
                $"'{path}' holds the data of an image above and cannot be the {role} of another as well.") { Path = path };
        }

        if (_above.Contains(identity))
        {
            string what = _above[^1] == identity ? $"is its own {role}" : $"is a {role} of itself: the chain loops";
            throw new BlockLayerException(BlockErrorKind.InvalidFormat, $"'{path}' {what}.") { Path = path };
        }
    }

    /// <summary>The plain name of a file that <paramref name="name"/> means; null if it means something else than a file to QEMU.</summary>
    /// <remarks>
    /// Names such as <c>json:</c> and <c>nbd:</c> make a program open whatever the image says by whatever means. Only plain files are ever opened here, under
    /// the policy of QEMU also those that say so with <c>file:</c>.
    /// </remarks>
    internal static string? PlainName(string name, ReferencePolicy references) => ProtocolOf(name) switch
    {
        null => name,
        "file" when references == ReferencePolicy.Anywhere => name["file:".Length..],
        _ => null,
    };

    private OpenDeniedException Denied(NamedFile reference, string why)
        => new(Policy.Name, reference.Name, $"'{reference.ImageName}' names {reference.Shown} as its {reference.Role}, which was not opened. {why}")
        {
            NodeName = reference.ImageName,
            Path = reference.ImagePath,
        };

    /// <summary>A file that an image names, and as what.</summary>
    private sealed record NamedFile(string ImageName, string ImagePath, string Name, string Shown, string Role)
    {
        internal bool IsFormatUnknown { get; init; }
    }
}
