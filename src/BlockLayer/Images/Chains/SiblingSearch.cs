using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.Storage;

namespace BlockLayer.Images;

/// <summary>
/// Looks in directories for images whose backing chain passes through files that are about to change, or that a chain is not going to need. It goes by the headers of what it finds there
/// (<see cref="FoundImages"/>).
/// </summary>
internal sealed class SiblingSearch
{
    private readonly BlockEnvironment _environment;
    private readonly Dictionary<StorageIdentity, KnownFile> _chain = [];
    private readonly List<string> _left = []; // those of them that the chain does not need afterwards, newest first
    private readonly FoundImages _found;
    private readonly List<AffectedImage> _destroyed = [];
    private readonly List<AffectedImage> _dependent = [];
    private readonly List<UnjudgedFile> _unjudged = [];

    /// <param name="environment">Where the files are.</param>
    internal SiblingSearch(BlockEnvironment environment)
    {
        _environment = environment;
        _found = new FoundImages(environment, isLeftOut: _chain.ContainsKey);
    }

    private enum Fate
    {
        Kept,
        Unneeded,
        Changed,
    }

    /// <summary>Images of the chain to which nothing happens, and so nothing to what stands on them. What is said of an image last counts.</summary>
    internal IEnumerable<BlockNode> Kept
    {
        init => Know(value, Fate.Kept);
    }

    /// <summary>Images that the chain does not need afterwards, and that go on showing what they did, newest first.</summary>
    internal IEnumerable<BlockNode> Unneeded
    {
        init
        {
            Know(value, Fate.Unneeded);
            _left.AddRange(JobFiles.NamesOf(value));
        }
    }

    /// <summary>Images below those that the chain does not need either, and that show something else by themselves, newest first.</summary>
    internal IEnumerable<BlockNode> Invalid
    {
        init
        {
            Know(value, Fate.Changed);
            _left.AddRange(JobFiles.NamesOf(value));
        }
    }

    /// <summary>Images of the chain that show something else afterwards, and that it needs.</summary>
    internal IEnumerable<BlockNode> Changed
    {
        init => Know(value, Fate.Changed);
    }

    /// <summary>Searches, and adds what it finds to a plan.</summary>
    /// <exception cref="BlockLayerException">NotFound, Denied, Io: a directory cannot be listed.</exception>
    internal async ValueTask<ChainPlan> CompleteAsync(ChainPlan plan, IReadOnlyList<string> directories, CancellationToken cancellationToken)
    {
        foreach (string directory in directories.DistinctBy(_environment.Files.GetRealPath))
        {
            if (!await _found.LookInAsync(directory, cancellationToken).ConfigureAwait(false))
            {
                _unjudged.Add(new UnjudgedFile(directory, $"More than {FoundImages.MaxFiles} files were found; the rest was not looked at."));
            }
        }

        _unjudged.AddRange(_found.Unreadable.Select(static file => file with { Reason = $"It cannot be read: {file.Reason}" }));
        foreach (FoundImage image in _found.All)
        {
            Follow(image);
        }

        return plan with { Destroyed = _destroyed, Dependent = _dependent, Unjudged = _unjudged };
    }

    private void Know(IEnumerable<BlockNode> images, Fate fate)
    {
        foreach (BlockNode image in images)
        {
            if (BackingName.FileOf(image) is { } file)
            {
                _chain[file.Storage.Identity] = new KnownFile(JobFiles.NameOf(image), fate);
            }
        }
    }

    private void Follow(FoundImage image)
    {
        var visited = new HashSet<StorageIdentity>();
        var waiting = new Queue<FoundImage>(image.ByEachName);
        KnownFile? worst = null;
        string? doubt = null;
        while (waiting.TryDequeue(out FoundImage? at))
        {
            foreach (string name in at.BackingNames)
            {
                if (FoundImages.PathOf(at, name) is not { } path)
                {
                    doubt ??= $"the backing file of '{at.Path}' is '{name}', which is not a plain file name";
                    continue;
                }

                if (_environment.Files.GetInfo(path) is not { } info || !visited.Add(info.Identity))
                {
                    continue; // leads nowhere, or back
                }

                if (_chain.TryGetValue(info.Identity, out KnownFile? known))
                {
                    worst = worst is null || known.Fate > worst.Fate ? known : worst;
                    continue;
                }

                if (_found.Find(info.Identity) is { } next)
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
                _dependent.AddRange(_left.SkipWhile(name => name != worst.Name).Select(name => new AffectedImage(image.Path, name)));
                break;
        }

        if (doubt is not null && worst is not { Fate: Fate.Changed })
        {
            _unjudged.Add(new UnjudgedFile(image.Path, $"It may read through the chain: {doubt}."));
        }
    }

    /// <summary>A file of the chain, and what becomes of it.</summary>
    private sealed record KnownFile(string Name, Fate Fate);
}
