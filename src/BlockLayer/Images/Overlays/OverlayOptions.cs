using BlockLayer.Graph;

namespace BlockLayer.Images;

/// <summary>How an overlay is made, or found, that a disk is to go on with.</summary>
public sealed record OverlayOptions
{
    /// <summary>Whether it is created.</summary>
    public OverlaySource Source { get; init; }

    /// <summary>Its format, as qemu-img spells it.</summary>
    public string Format { get; init; } = "qcow2";

    /// <summary>Create options of the format in qemu-img's spelling, such as <c>cluster_size</c> to <c>64k</c>.</summary>
    public IReadOnlyDictionary<string, string> CreateOptions { get; init; } = new Dictionary<string, string>();

    /// <summary>
    /// The name to record for the disk's newest image in a new overlay. Null: relative if that image lies in the overlay's directory or below, else absolute. It has to
    /// lead to the image's file.
    /// </summary>
    public string? BackingName { get; init; }

    /// <summary>Has the overlay's passphrase, if it is encrypted; null for none.</summary>
    public ImageSecrets? Secrets { get; init; }

    /// <summary>Which other files the overlay may cause to be opened, such as a data file. Its backing file is open already.</summary>
    public OpenPolicy Policy { get; init; } = OpenPolicy.Default;

    /// <summary>The formats that are known.</summary>
    public FormatRegistry Formats { get; init; } = BuiltInFormats.All;
}
