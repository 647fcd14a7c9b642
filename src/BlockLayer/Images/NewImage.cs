using BlockLayer.Graph;

namespace BlockLayer.Images;

/// <summary>An image to create.</summary>
public sealed record NewImage
{
    /// <summary>The format's name, as qemu-img spells it.</summary>
    public required string Format { get; init; }

    /// <summary>Size of the virtual disk in bytes; null takes the size of the backing file.</summary>
    public long? Length { get; init; }

    /// <summary>The backing file to record: a path relative to the new image's directory, or absolute; null for none.</summary>
    public BackingReference? Backing { get; init; }

    /// <summary>Create options of the format in qemu-img's spelling, such as <c>cluster_size</c> to <c>64k</c>.</summary>
    public IReadOnlyDictionary<string, string> Options { get; init; } = new Dictionary<string, string>();

    /// <summary>
    /// Has the passphrase of the image, if it is to be encrypted (<c>encrypt.format=luks</c> among the options), and those of its backing files, if they are; null for none.
    /// </summary>
    public ImageSecrets? Secrets { get; init; }

    /// <summary>Whether the backing file is opened before it is recorded.</summary>
    public BackingVerification Verification { get; init; } = BackingVerification.Open;
}
