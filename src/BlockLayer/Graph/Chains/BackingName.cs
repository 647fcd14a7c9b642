using BlockLayer.Errors;
using BlockLayer.Storage;

namespace BlockLayer.Graph;

/// <summary>How an overlay is to name its backing file, so that an open of the overlay finds the very file that is open now.</summary>
internal static class BackingName
{
    /// <summary>
    /// A reference to <paramref name="backing"/> for the header of <paramref name="overlay"/>. The name is relative to the overlay's own directory if the
    /// one it replaces was relative, else absolute, unless the caller gives one.
    /// </summary>
    /// <param name="overlay">The image whose header is written.</param>
    /// <param name="backing">The image to refer to.</param>
    /// <param name="name">A name given by the caller; null to compute one.</param>
    /// <exception cref="BlockLayerException">NotFound, Unsupported or Conflict: an open of that name would not reach the file of the open backing node, or not show what that shows.</exception>
    internal static BackingReference ReferenceTo(BlockNode overlay, BlockNode backing, string? name)
    {
        if (backing.NotInName is { } part)
        {
            throw new BlockLayerException(BlockErrorKind.Unsupported, $"'{backing.NodeName}' cannot be recorded as a backing file: what is open is {part}, and its name alone leads to something else.")
            {
                NodeName = overlay.NodeName,
                Path = overlay.Path,
            };
        }

        string format = backing is StorageNode ? "raw" : backing.DriverName;
        if (FileOf(backing) is not { } file || overlay.Path is not { } overlayPath)
        {
            return new BackingReference(name ?? backing.NodeName, format); // not stored in files: there is nothing to resolve
        }

        StorageProvider files = overlay.Environment.Files;
        if (name is null)
        {
            string target = files.GetRealPath(file.Storage.Name);
            bool wasRelative = overlay.BackingReference is { } old && !Path.IsPathRooted(old.Name);
            name = Plain(wasRelative ? Path.GetRelativePath(files.GetRealPath(ReferenceResolver.DirectoryOf(overlayPath)), target) : target);
        }
        else if (ReferenceResolver.ProtocolOf(name) is { } protocol)
        {
            throw Refusal(BlockErrorKind.Unsupported, $"'{protocol}:' makes it the name of a protocol");
        }

        string resolved = ReferenceResolver.PathOf(overlayPath, name);
        StorageFileInfo found = files.GetInfo(resolved)
            ?? throw Refusal(BlockErrorKind.NotFound, $"there is nothing at '{resolved}'");
        return found.Identity == file.Storage.Identity
            ? new BackingReference(name, format)
            : throw Refusal(BlockErrorKind.Conflict, $"'{resolved}' is another file");

        BlockLayerException Refusal(BlockErrorKind kind, string why)
            => new(kind, $"'{name}' cannot be recorded as the backing file of '{overlay.NodeName}': it has to lead to '{backing.NodeName}', but {why}.")
            {
                NodeName = overlay.NodeName,
                Path = overlay.Path,
            };
    }

    /// <summary>
    /// The name by which a new overlay is to refer to a file: relative if the file lies in the overlay's directory or below, where both can be moved together; else absolute.
    /// </summary>
    /// <param name="files">Where both are.</param>
    /// <param name="overlayPath">The overlay, which need not exist; its directory does.</param>
    /// <param name="path">The file to refer to.</param>
    internal static string ForNewOverlay(StorageProvider files, string overlayPath, string path)
    {
        string target = files.GetRealPath(path);
        string relative = Path.GetRelativePath(files.GetRealPath(ReferenceResolver.DirectoryOf(overlayPath)), target);
        return relative.StartsWith("..", StringComparison.Ordinal) ? target : Plain(relative);
    }

    // "a:b" alone would be taken for b by the protocol a.
    private static string Plain(string name) => ReferenceResolver.ProtocolOf(name) is null ? name : "./" + name;

    /// <summary>The file that holds an image's header: of a format with a separate data file, not that one. Null where it is in no file.</summary>
    internal static StorageNode? FileOf(BlockNode node)
    {
        BlockNode? at = node;
        while (at is not null and not StorageNode)
        {
            at = at.GetChild(EdgeRole.Metadata) ?? at.GetChild(EdgeRole.Data) ?? at.GetChild(EdgeRole.Filtered);
        }

        return at as StorageNode;
    }
}
