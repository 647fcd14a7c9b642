using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.Images;

/// <summary>
/// Looks in directories for images whose backing chain passes through files that are about to change. Of each file its header is read; a name in it is compared with the files that
/// were found, as links resolve, and never opened.
/// </summary>
internal sealed class SiblingSearch
{
    /// <summary>The most files that are looked at; what is beyond is reported as not judged.</summary>
    internal const int MaxFiles = 10_000;

    private readonly BlockEnvironment _environment;
    private readonly Dictionary<StorageIdentity, string> _affected = [];
    private readonly StorageIdentity? _unaffected;
    private readonly Dictionary<StorageIdentity, FoundImage> _found = [];
    private readonly List<StorageIdentity> _order = []; // of _found: as they were met
    private readonly List<AffectedImage> _destroyed = [];
    private readonly List<UnjudgedFile> _unjudged = [];

    /// <param name="environment">Where the files are.</param>
    /// <param name="affected">Images that change; none of them is looked for itself.</param>
    /// <param name="unaffected">The image that goes on showing the same, and so does what stands above it.</param>
    internal SiblingSearch(BlockEnvironment environment, IReadOnlyList<BlockNode> affected, BlockNode unaffected)
    {
        _environment = environment;
        foreach (BlockNode node in affected)
        {
            if (BackingName.FileOf(node) is { } file)
            {
                _affected[file.Storage.Identity] = node.Path ?? node.NodeName;
            }
        }

        _unaffected = BackingName.FileOf(unaffected)?.Storage.Identity;
    }

    /// <summary>Images that would be destroyed.</summary>
    internal IReadOnlyList<AffectedImage> Destroyed => _destroyed;

    /// <summary>Files of which it cannot be told.</summary>
    internal IReadOnlyList<UnjudgedFile> Unjudged => _unjudged;

    /// <summary>Searches.</summary>
    /// <exception cref="BlockLayerException">NotFound, Denied, Io: a directory cannot be listed.</exception>
    internal async ValueTask RunAsync(IReadOnlyList<string> directories, CancellationToken cancellationToken)
    {
        foreach (string directory in directories.DistinctBy(_environment.Files.GetRealPath))
        {
            foreach (string path in _environment.Files.ListFiles(directory))
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (_order.Count >= MaxFiles)
                {
                    _unjudged.Add(new UnjudgedFile(directory, $"More than {MaxFiles} files were found; the rest was not looked at."));
                    break;
                }

                await LookAsync(path, cancellationToken).ConfigureAwait(false);
            }
        }

        foreach (StorageIdentity identity in _order)
        {
            Follow(_found[identity]);
        }
    }

    private async ValueTask LookAsync(string path, CancellationToken cancellationToken)
    {
        if (_environment.Files.GetInfo(path) is not { Kind: StorageFileKind.Regular } info
            || info.Identity == _unaffected || _affected.ContainsKey(info.Identity) || _found.ContainsKey(info.Identity))
        {
            return;
        }

        string[] names = [];
        try
        {
            // Without locks: who writes the image does not change what it stands on, and the look must not disturb him.
            var options = new InspectOptions { Environment = _environment, Locking = ImageLocking.Ignore };
            ImageInspection inspection = await ImageInspector.InspectAsync(path, options, cancellationToken).ConfigureAwait(false);
            names = [.. inspection.References.Where(static reference => reference is { Role: FileReferenceRole.Backing, Name: not null }).Select(static reference => reference.Name!)];
        }
        catch (BlockLayerException error)
        {
            _unjudged.Add(new UnjudgedFile(path, $"It cannot be read: {error.Message}"));
        }

        _found.Add(info.Identity, new FoundImage(path, names));
        _order.Add(info.Identity);
    }

    // A file that shows the signature of several formats may name several backing files, and any of them may be the one that counts.
    private void Follow(FoundImage image)
    {
        var visited = new HashSet<StorageIdentity>();
        var waiting = new Queue<FoundImage>([image]);
        while (waiting.TryDequeue(out FoundImage? at))
        {
            foreach (string name in at.BackingNames)
            {
                if (ReferenceResolver.PlainName(name, ReferencePolicy.Anywhere) is not { } plain || plain.Contains('\0', StringComparison.Ordinal))
                {
                    Doubt(image, $"the backing file of '{at.Path}' is '{name}', which is not a plain file name");
                    continue;
                }

                string path = ReferenceResolver.PathOf(at.Path, plain);
                if (_environment.Files.GetInfo(path) is not { } info || info.Identity == _unaffected || !visited.Add(info.Identity))
                {
                    continue; // leads nowhere, to what stays as it is, or back
                }

                if (_affected.TryGetValue(info.Identity, out string? through))
                {
                    _destroyed.Add(new AffectedImage(image.Path, through));
                    return;
                }

                if (_found.TryGetValue(info.Identity, out FoundImage? next))
                {
                    waiting.Enqueue(next with { Path = path });
                }
                else
                {
                    Doubt(image, $"its chain goes on in '{path}', outside the directories that were searched");
                }
            }
        }
    }

    private void Doubt(FoundImage image, string why) => _unjudged.Add(new UnjudgedFile(image.Path, $"It may read through the chain: {why}."));

    /// <summary>A file and the backing files that it names.</summary>
    private sealed record FoundImage(string Path, IReadOnlyList<string> BackingNames);
}
