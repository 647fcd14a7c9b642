using System.Xml.Linq;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Images;

namespace BlockLayer.Libvirt;

/// <summary>A disk as a description defines it (libvirt's <c>&lt;disk&gt;</c>), before anything is opened.</summary>
public sealed record DiskDefinition
{
    /// <summary>What the guest calls it: <c>vda</c>. Unique in its domain.</summary>
    public required string Target { get; init; }

    /// <summary>Where its active image is; null for an empty drive.</summary>
    public DiskSource? Source { get; init; }

    /// <summary>The format of its active image; null leaves it to the image's magic, and to the open policy.</summary>
    public string? Format { get; init; }

    /// <summary>What the guest takes it for.</summary>
    public DiskDevice Device { get; init; }

    /// <summary>Whether the guest may only read it.</summary>
    public bool IsReadOnly { get; init; }

    /// <summary>Whether reads fill the active image from below.</summary>
    public bool CopiesOnRead { get; init; }

    /// <summary>What a start does when its file is missing.</summary>
    public StartupPolicy Startup { get; init; }

    /// <summary>Whether a snapshot leaves the disk alone that says nothing about it.</summary>
    internal bool IsLeftOutOfSnapshots { get; init; }

    /// <summary>The backing stores that the description declares, the uppermost first; the last has no source where the chain is declared to end there.</summary>
    internal IReadOnlyList<DeclaredLayer> Declared { get; init; } = [];

    /// <summary>Reads one <c>&lt;disk&gt;</c>.</summary>
    /// <exception cref="LibvirtException">XmlError, ConfigUnsupported.</exception>
    internal static DiskDefinition Read(XElement disk)
    {
        DiskDevice device = disk.Text("device") == "lun"
            ? throw XmlText.Unsupported(disk, "device is 'lun', which passes SCSI commands through to a device.")
            : disk.Choice("device", ("disk", DiskDevice.Disk), ("cdrom", DiskDevice.CdRom), ("floppy", DiskDevice.Floppy)) ?? DiskDevice.Disk;
        DiskSource? source = DiskSource.Read(disk);
        if (source is null && device == DiskDevice.Disk)
        {
            throw XmlText.Invalid(disk, "<source> is missing; only drives for removable media may be empty.");
        }

        XElement? driver = disk.Child("driver");
        if (driver?.Text("name") is { } name and not "qemu")
        {
            throw XmlText.Unsupported(driver, $"name is '{name}'; the formats here are those of qemu.");
        }

        if (disk.Child("transient") is { } transient)
        {
            throw XmlText.Unsupported(transient, "what a guest writes is kept here; start the domain with an overlay that is thrown away afterwards.");
        }

        string? format = driver?.Text("type");
        if (format == "raw" && DiskSource.FindEncryption(disk) is { } encryption)
        {
            throw XmlText.Unsupported(encryption, "raw images are not decrypted here; encrypted images are of the format qcow2.");
        }

        return new DiskDefinition
        {
            Target = ReadTarget(disk),
            Source = source,
            Format = format,
            Device = device,
            IsReadOnly = device == DiskDevice.CdRom || disk.Child("readonly") is not null,
            CopiesOnRead = driver?.Choice("copy_on_read", ("on", true), ("off", false)) ?? false,
            Startup = ReadStartup(disk, device),
            IsLeftOutOfSnapshots = disk.Choice("snapshot", ("no", true), ("manual", true), ("external", false), ("internal", false)) ?? false,
            Declared = DeclaredLayer.Read(disk),
        };
    }

    /// <summary>How the active image is opened.</summary>
    internal DiskOptions ToOptions(DiskOptions template) => template with
    {
        Format = Format,
        Access = IsReadOnly ? NodeAccess.ReadOnly : NodeAccess.ReadWrite,
        CopyOnRead = CopiesOnRead ? template.CopyOnRead ?? new CopyOnReadOptions() : null,
    };

    private static StartupPolicy ReadStartup(XElement disk, DiskDevice device)
    {
        XElement? source = disk.Child("source");
        StartupPolicy policy = source?.Choice(
            "startupPolicy",
            ("mandatory", StartupPolicy.Mandatory),
            ("requisite", StartupPolicy.Requisite),
            ("optional", StartupPolicy.Optional)) ?? StartupPolicy.Mandatory;
        return policy == StartupPolicy.Requisite && device == DiskDevice.Disk
            ? throw XmlText.Invalid(source!, "startupPolicy is 'requisite', which is for drives alone.")
            : policy;
    }

    private static string ReadTarget(XElement disk)
    {
        XElement target = disk.RequiredChild("target");
        string dev = target.RequiredText("dev");
        return dev.AsSpan().IndexOfAny("/[]\0") < 0 ? dev : throw XmlText.Invalid(target, $"dev is '{dev}'; a target has no slash and no bracket.");
    }
}
