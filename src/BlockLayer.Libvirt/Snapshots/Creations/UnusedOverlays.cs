using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Primitives;
using BlockLayer.Storage;

namespace BlockLayer.Libvirt;

/// <summary>
/// Tells whether files that a creation was to make may be removed. Their names prove nothing, since others may have come first: a file may go when it holds nothing but what a new overlay
/// holds, as far as that was written, when nobody has it open, and when no image, snapshot or definition of a domain leads to it. In doubt it stays.
/// </summary>
internal sealed class UnusedOverlays
{
    private const int CompareLength = 1 << 20; // bytes that are compared at once

    private readonly Domain _domain;
    private readonly SnapshotStore _store;
    private readonly OverlaySearch? _search; // null: not everything could be looked at

    private UnusedOverlays(Domain domain, SnapshotStore store, OverlaySearch? search)
    {
        _domain = domain;
        _store = store;
        _search = search;
    }

    private DiskOptions Options => _domain.Host.Options.Disks;

    private StorageProvider Files => Options.Environment.Files;

    /// <summary>Looks for images that stand on the files.</summary>
    internal static async ValueTask<UnusedOverlays> SearchAsync(Domain domain, SnapshotStore store, IReadOnlyList<EmptyOverlay> files, CancellationToken cancellationToken)
    {
        var search = new OverlaySearch(domain.Host.Options.Disks.Environment);
        try
        {
            foreach (string folder in files.Select(static file => ReferenceResolver.DirectoryOf(file.Path)).Concat(domain.Host.Options.ImageFolders).Distinct())
            {
                await search.LookInAsync(folder, cancellationToken).ConfigureAwait(false);
            }
        }
        catch (Exception error) when (error is BlockLayerException or LibvirtException)
        {
            return new UnusedOverlays(domain, store, search: null); // a domain starts all the same, beside a file that is of no use
        }

        return new UnusedOverlays(domain, store, search.Unjudged.Count == 0 ? search : null);
    }

    /// <summary>True when the file, which exists, may be removed.</summary>
    internal async ValueTask<bool> ContainsAsync(EmptyOverlay file, CancellationToken cancellationToken)
        => _search is not null
            && Files.GetInfo(file.Path) is { Kind: StorageFileKind.Regular }
            && _search.OverlaysOf(file.Path, except: []).Count == 0
            && !IsNamed(file.Path)
            && await HoldsNothingElseAsync(file, cancellationToken).ConfigureAwait(false);

    private bool IsNamed(string path)
    {
        IEnumerable<string> named = _domain.Host.Domains.Append(_domain).SelectMany(static domain => domain.NamedPaths)
            .Concat(_store.Active.Select(static image => image.Source.Path))
            .Concat(_store.Tree.All.SelectMany(static record => record.Disks).SelectMany(static disk => new[] { disk.Frozen.Path, disk.Overlay.Path }));
        return named.Any(name => DiskMerge.IsSameFile(Files, name, path));
    }

    // The same image is made once more, in memory: every byte of the file is one of its bytes, or was not written yet.
    private async ValueTask<bool> HoldsNothingElseAsync(EmptyOverlay overlay, CancellationToken cancellationToken)
    {
        var memory = new MemoryStorageProvider();
        try
        {
            await new ImageCreator(Options.Formats, Options.Environment with { Files = memory })
                .CreateAsync(overlay.Path, overlay.ToImage(), Options.Policy, cancellationToken).ConfigureAwait(false);
            BlockStorage made = await memory.OpenAsync(overlay.Path, new StorageOpenOptions(), cancellationToken).ConfigureAwait(false);
            await using (made.ConfigureAwait(false))
            {
                var alone = new StorageOpenOptions { Writable = true, Lock = ImageLock.Writer }; // nobody else has it open
                BlockStorage found = await Files.OpenAsync(overlay.Path, alone, cancellationToken).ConfigureAwait(false);
                await using (found.ConfigureAwait(false))
                {
                    return found.Length <= made.Length && await IsPartOfAsync(found, made, cancellationToken).ConfigureAwait(false);
                }
            }
        }
        catch (Exception error) when (error is BlockLayerException or ArgumentException)
        {
            return false; // it cannot be opened alone, or the note is about an image that cannot be made
        }
    }

    private async ValueTask<bool> IsPartOfAsync(BlockStorage found, BlockStorage made, CancellationToken cancellationToken)
    {
        using PooledBuffer there = Options.Environment.Buffers.Rent(CompareLength);
        using PooledBuffer expected = Options.Environment.Buffers.Rent(CompareLength);
        for (long at = 0; at < found.Length; at += CompareLength)
        {
            int length = (int)Math.Min(CompareLength, found.Length - at);
            await found.ReadAsync(at, there.Memory[..length], cancellationToken).ConfigureAwait(false);
            await made.ReadAsync(at, expected.Memory[..length], cancellationToken).ConfigureAwait(false);
            for (int i = 0; i < length; i++)
            {
                if (there.Span[i] != 0 && there.Span[i] != expected.Span[i])
                {
                    return false;
                }
            }
        }

        return true;
    }
}
