using System.Xml.Linq;
using BlockLayer.Storage;

namespace BlockLayer.Libvirt;

/// <summary>Where a copy goes to.</summary>
/// <param name="Source">Its file or device.</param>
/// <param name="Format">Its format; null takes the source's or, of a file that exists already, what its magic says.</param>
internal sealed record CopyDestination(DiskSource Source, string? Format)
{
    /// <summary>Reads BlockCopy's <c>&lt;disk&gt;</c>; what describes the guest's side of it is ignored.</summary>
    /// <exception cref="LibvirtException">XmlDetail, XmlError, ConfigUnsupported; InvalidArg: the path is not absolute.</exception>
    internal static CopyDestination FromXml(string xml)
    {
        XElement disk = XmlText.Read(xml, "disk");
        if (disk.Child("source")?.Text("file") is { Length: > 0 } path && !path.StartsWith('/'))
        {
            throw LibvirtException.InvalidArg($"The copy would go to '{path}'; expected is an absolute path."); // its own code, unlike in the description of a domain
        }

        DiskSource.RefuseEncryption(disk);
        DiskSource source = DiskSource.Read(disk) ?? throw XmlText.Invalid(disk, "<source> is missing: it says where the copy goes.");
        return new CopyDestination(source, disk.Child("driver")?.Text("type"));
    }

    /// <summary>What BlockRebase's <c>base</c> and flags say.</summary>
    /// <exception cref="LibvirtException">InvalidArg: the name is not absolute.</exception>
    internal static CopyDestination FromRebase(string @base, BlockRebaseFlags flags)
    {
        if (!@base.StartsWith('/') || @base.Contains('\0', StringComparison.Ordinal))
        {
            throw LibvirtException.Refused(LibvirtErrorCode.InvalidArg, $"base is '{@base}'; a copy needs an absolute path.");
        }

        var source = new DiskSource((flags & BlockRebaseFlags.CopyDevice) != 0, @base);
        return new CopyDestination(source, (flags & BlockRebaseFlags.CopyRaw) != 0 ? "raw" : null);
    }

    /// <summary>The flags of BlockCopy that a rebase with COPY stands for.</summary>
    internal static BlockCopyFlags FlagsOf(BlockRebaseFlags flags)
        => ((flags & BlockRebaseFlags.Shallow) != 0 ? BlockCopyFlags.Shallow : 0)
            | ((flags & BlockRebaseFlags.ReuseExternal) != 0 ? BlockCopyFlags.ReuseExternal : 0);

    /// <summary>The flags that count for this disk: with one image alone, a shallow copy is a full one.</summary>
    internal static BlockCopyFlags Effective(BlockCopyFlags flags, DomainDisk disk)
        => disk.Chain.Count > 1 ? flags : flags & ~BlockCopyFlags.Shallow;

    /// <summary>Makes sure that a copy with the effective flags can go there.</summary>
    /// <exception cref="LibvirtException">
    /// ConfigUnsupported: a shallow copy into a raw file, which has no backing file, a file that holds something already, or another format than raw that
    /// would have to be made on a device; SystemError: a file that has to exist does not;
    /// InvalidArg: a file where a device was promised.
    /// </exception>
    /// <returns>Whether it is there, and nothing is created.</returns>
    internal bool Check(BlockCopyFlags flags, DomainDisk disk, StorageProvider files)
    {
        bool reuses = (flags & BlockCopyFlags.ReuseExternal) != 0;
        if ((flags & BlockCopyFlags.Shallow) != 0 && Format == "raw")
        {
            throw LibvirtException.Refused(
                LibvirtErrorCode.ConfigUnsupported,
                $"A shallow copy of '{disk.Target}' cannot be raw: a raw file has no backing file.");
        }

        StorageFileInfo? found = files.Look(Source.Path);
        if (found is null)
        {
            if (reuses || Source.IsBlockDevice)
            {
                throw LibvirtException.Refused(LibvirtErrorCode.SystemError, $"There is nothing at '{Source.Path}' for the copy of '{disk.Target}' to go to.");
            }

            return false;
        }

        bool isDevice = found.Kind == StorageFileKind.BlockDevice;
        if (!isDevice && found.Length > 0 && !reuses)
        {
            throw LibvirtException.Refused(
                LibvirtErrorCode.ConfigUnsupported,
                $"'{Source.Path}' exists and is not empty; to copy '{disk.Target}' to it all the same, say so (REUSE_EXT).");
        }

        if (Source.IsBlockDevice && !isDevice)
        {
            throw LibvirtException.Refused(LibvirtErrorCode.InvalidArg, $"'{Source.Path}' is no block device, as the copy of '{disk.Target}' was said to be.");
        }

        if (isDevice && !reuses && Format != "raw")
        {
            throw LibvirtException.Refused(
                LibvirtErrorCode.ConfigUnsupported,
                $"'{Source.Path}' is a block device, and no {Format} image is made on a device here; to copy '{disk.Target}' to it, copy raw, or make the image there first and say so (REUSE_EXT).");
        }

        return reuses || isDevice;
    }
}
