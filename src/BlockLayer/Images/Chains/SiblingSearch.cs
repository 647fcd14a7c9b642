using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.Images;

/// <summary>
/// Looks in directories for images whose backing chain passes through files that are about to change, or that a chain is not going to need. Of each file its header is read; a name in it
/// is compared with the files that were found, as links resolve, and never opened.
/// </summary>
internal sealed class SiblingSearch
{
    /// <summary>The most files that are looked at; what is beyond is reported as not judged.</summary>
    internal const int MaxFiles = 10_000;

    private readonly BlockEnvironment _environment;
    private readonly Dictionary<StorageIdentity, KnownFile> _chain = [];
    private readonly Dictionary<StorageIdentity, FoundImage> _found = [];
    private readonly List<StorageIdentity> _order = []; // of _found: as they were met
    private readonly List<AffectedImage> _destroyed = [];
    private readonly List<AffectedImage> _dependent = [];
    private readonly List<UnjudgedFile> _unjudged = [];

    /// <param name="environment">Where the files are.</param>
    internal SiblingSearch(BlockEnvironment environment) => _environment = environment;

    private enum Fate
    {
        Kept,
        Unneeded,
        Changed,
    }

    /// <summary>Images of the chain that show something else afterwards. What is said of an image last counts.</summary>
    internal IEnumerable<BlockNode> Changed
    {
        init => Know(value, Fate.Changed);
    }

    /// <summary>Images that the chain does not need afterwards, and that go on showing what they did.</summary>
    internal IEnumerable<BlockNode> Unneeded
    {
        init => Know(value, Fate.Unneeded);
    }

    /// <summary>Images of the chain to which nothing happens, and so nothing to what stands on them.</summary>
    internal IEnumerable<BlockNode> Kept
    {
        init => Know(value, Fate.Kept);
    }

    /// <summary>Searches, and adds what it finds to a plan.</summary>
    /// <exception cref="BlockLayerException">NotFound, Denied, Io: a directory cannot be listed.</exception>
    internal async ValueTask<ChainPlan> CompleteAsync(ChainPlan plan, IReadOnlyList<string> directories, CancellationToken cancellationToken)
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

        return plan with { Destroyed = _destroyed, Dependent = _dependent, Unjudged = _unjudged };
    }

    private void Know(IEnumerable<BlockNode> images, Fate fate)
    {
        foreach (BlockNode image in images)
        {
            if (BackingName.FileOf(image) is { } file)
            {
                _chain[file.Storage.Identity] = new KnownFile(image.Path ?? image.NodeName, fate);
            }
        }
    }

    private async ValueTask LookAsync(string path, CancellationToken cancellationToken)
    {
        if (_environment.Files.GetInfo(path) is not { Kind: StorageFileKind.Regular } info
            || _chain.ContainsKey(info.Identity) || _found.ContainsKey(info.Identity))
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
        KnownFile? worst = null;
        string? doubt = null;
        while (waiting.TryDequeue(out FoundImage? at))
        {
            foreach (string name in at.BackingNames)
            {
                if (ReferenceResolver.PlainName(name, ReferencePolicy.Anywhere) is not { } plain || plain.Contains('\0', StringComparison.Ordinal))
                {
                    doubt ??= $"the backing file of '{at.Path}' is '{name}', which is not a plain file name";
                    continue;
                }

                string path = ReferenceResolver.PathOf(at.Path, plain);
                if (_environment.Files.GetInfo(path) is not { } info || !visited.Add(info.Identity))
                {
                    continue; // leads nowhere, or back
                }

                if (_chain.TryGetValue(info.Identity, out KnownFile? known))
                {
                    worst = worst is null || known.Fate > worst.Fate ? known : worst;
                    continue;
                }

                if (_found.TryGetValue(info.Identity, out FoundImage? next))
                {
                    waiting.Enqueue(next with { Path = path });
                }
                else
                {
                    doubt ??= $"its chain goes on in '{path}', outside the directories that were searched";
                }
            }
        }

        switch (worst)
        {
            case { Fate: Fate.Changed }:
                _destroyed.Add(new AffectedImage(image.Path, worst.Name));
                break;
            case { Fate: Fate.Unneeded }:
                _dependent.Add(new AffectedImage(image.Path, worst.Name));
                break;
        }

        if (doubt is not null && worst is not { Fate: Fate.Changed })
        {
            _unjudged.Add(new UnjudgedFile(image.Path, $"It may read through the chain: {doubt}."));
        }
    }

    /// <summary>A file of the chain, and what becomes of it.</summary>
    private sealed record KnownFile(string Name, Fate Fate);

    /// <summary>A file and the backing files that it names.</summary>
    private sealed record FoundImage(string Path, IReadOnlyList<string> BackingNames);
}
