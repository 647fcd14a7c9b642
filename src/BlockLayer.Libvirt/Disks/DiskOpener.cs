using BlockLayer.Errors;
using BlockLayer.Images;
using BlockLayer.Storage;

namespace BlockLayer.Libvirt;

/// <summary>Opens the disks of a domain that starts: all of them, or none.</summary>
internal sealed class DiskOpener(DiskOptions template)
{
    private readonly List<MissingSource> _missing = [];

    private StorageProvider Files => template.Environment.Files;

    /// <summary>What was missing and allowed to be.</summary>
    internal IReadOnlyList<MissingSource> Missing => _missing;

    /// <summary>Opens them in order. Hard disks that may be missing, and are, are left out.</summary>
    /// <exception cref="LibvirtException">Why which one could not be opened; those before it are closed again.</exception>
    internal async ValueTask<IReadOnlyList<DomainDisk>> OpenAllAsync(IReadOnlyList<DiskDefinition> disks, CancellationToken cancellationToken)
    {
        var opened = new List<DomainDisk>();
        try
        {
            foreach (DiskDefinition disk in disks)
            {
                if (await OpenAsync(disk, cancellationToken).ConfigureAwait(false) is { } open)
                {
                    opened.Add(open);
                }
            }

            return opened;
        }
        catch
        {
            foreach (DomainDisk disk in opened)
            {
                // Opened and not written, so there is nothing to write back that could fail; what went wrong first is told.
                await (disk.Open?.DisposeAsync() ?? ValueTask.CompletedTask).ConfigureAwait(false);
            }

            throw;
        }
    }

    private async ValueTask<DomainDisk?> OpenAsync(DiskDefinition definition, CancellationToken cancellationToken)
    {
        if (definition.Source is not { } source)
        {
            return new DomainDisk(definition, open: null, Files);
        }

        if (definition.Startup == StartupPolicy.Optional && Files.Look(source.Path) is null)
        {
            return Without(definition, source);
        }

        try
        {
            Disk open = await Disk.OpenAsync(source.Path, definition.ToOptions(template), cancellationToken).ConfigureAwait(false);
            try
            {
                var disk = new DomainDisk(definition, open, Files);
                ThrowIfContradicted(disk);
                return disk;
            }
            catch
            {
                await open.DisposeAsync().ConfigureAwait(false);
                throw;
            }
        }
        catch (BlockLayerException error)
        {
            LibvirtError told = LibvirtError.From(error)!;
            throw new LibvirtException(told with { Message = $"The disk '{definition.Target}' cannot be opened: {told.Message}" }, error);
        }
    }

    private DomainDisk? Without(DiskDefinition definition, DiskSource source)
    {
        bool isDrive = definition.Device != DiskDevice.Disk;
        _missing.Add(new MissingSource(definition.Target, source.Path, isDrive ? DiskChangeReason.MissingOnStart : DiskChangeReason.DropMissingOnStart));
        return isDrive ? new DomainDisk(definition with { Source = null }, open: null, Files) : null;
    }

    // A description may declare the chain. Images say for themselves what lies below them, so a description that says otherwise is out of date, and starting on it would
    // show the guest another disk than its author expects.
    private void ThrowIfContradicted(DomainDisk disk)
    {
        IReadOnlyList<DeclaredLayer> declared = disk.Definition.Declared;
        IReadOnlyList<ChainElement> chain = disk.Chain;
        for (int index = 1; index <= declared.Count; index++)
        {
            DeclaredLayer layer = declared[index - 1];
            ChainElement? found = index < chain.Count ? chain[index] : null;
            bool isSame = layer.Source is null
                ? found is null
                : found is not null && (layer.Format is null || layer.Format == found.Format) && IsSameFile(layer.Source.Path, found.Path);
            if (!isSame)
            {
                string wanted = layer.Source is null ? "the end of the chain" : $"'{layer.Source.Path}'{(layer.Format is null ? "" : $" ({layer.Format})")}";
                string there = found is null ? "the end of the chain" : $"'{found.Path}' ({found.Format})";
                throw new LibvirtException(
                    LibvirtErrorCode.ConfigUnsupported,
                    LibvirtErrorDomain.Storage,
                    $"The disk '{disk.Target}' declares {wanted} as backing store {index}, and its images lead to {there}.");
            }
        }
    }

    private bool IsSameFile(string path, string other)
        => path == other || (Files.GetInfo(path) is { } one && Files.GetInfo(other) is { } two && one.Identity == two.Identity);
}
