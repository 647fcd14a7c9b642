using BlockLayer.Errors;

namespace BlockLayer.Storage;

/// <summary>
/// The locks that programs of QEMU's family take on an image file: which permissions this opener uses, and which it shares with others. Two openers can
/// have a file open together when neither uses what the other does not share; it does not matter whether they are one process or two.
/// On Linux they are open-file-description locks on byte 100 + bit (used) and 200 + bit (not shared).
/// </summary>
/// <remarks>
/// What QEMU takes (seen in <c>/proc/locks</c>, QEMU 7.2): a qcow2 image open for writing is <see cref="Writer"/>; a backing file, and a qcow2 image
/// open for reading, is <see cref="Reader"/>. A raw image in qemu-io uses consistent-read (and write) and shares everything, so two such writers do
/// not exclude each other; they do exclude us.
/// </remarks>
/// <param name="Used">Permissions this opener uses.</param>
/// <param name="Shared">Permissions others may use meanwhile.</param>
public sealed record ImageLock(ImagePermissions Used, ImagePermissions Shared)
{
    /// <summary>An image that is read and that nobody may write meanwhile: a backing file, or a read-only open.</summary>
    public static ImageLock Reader { get; } = new(ImagePermissions.ConsistentRead, ImagePermissions.ConsistentRead | ImagePermissions.WriteUnchanged);

    /// <summary>
    /// An image that is read, written and grown. Nobody may write or resize it meanwhile; somebody who shares all that may read it, as
    /// <c>qemu-img info --force-share</c> does.
    /// </summary>
    public static ImageLock Writer { get; } = new(
        ImagePermissions.ConsistentRead | ImagePermissions.Write | ImagePermissions.Resize,
        ImagePermissions.ConsistentRead | ImagePermissions.WriteUnchanged);

    /// <summary>True when the opener changes the file.</summary>
    internal bool Writes => (Used & (ImagePermissions.Write | ImagePermissions.WriteUnchanged | ImagePermissions.Resize)) != 0;

    /// <summary>Throws Conflict when two openers of one file exclude each other.</summary>
    internal void RequireCompatible(ImageLock other, string path)
    {
        ImagePermissions notShared = Used & ~other.Shared;
        if (notShared != 0)
        {
            throw NotSharedByOthers(notShared, path);
        }

        ImagePermissions inUse = other.Used & ~Shared;
        if (inUse != 0)
        {
            throw UsedByOthers(inUse, path);
        }
    }

    /// <summary>Somebody has the image open and does not share what is wanted.</summary>
    internal static BlockLayerException NotSharedByOthers(ImagePermissions permission, string path)
        => new(BlockErrorKind.Conflict, $"Somebody else has the image open and does not share the permission \"{NameOf(permission)}\".") { Path = path };

    /// <summary>Somebody has the image open and uses what would not be shared.</summary>
    internal static BlockLayerException UsedByOthers(ImagePermissions permission, string path)
        => new(BlockErrorKind.Conflict, $"Somebody else has the image open and uses the permission \"{NameOf(permission)}\", which is not to be shared.")
        { Path = path };

    /// <summary>Nobody was kept out while the file was read, so what was read of it may be half of what somebody wrote.</summary>
    internal static BlockLayerException NotHeld(string path)
        => new(BlockErrorKind.Conflict, "No image lock is held on the file: it was opened without one, or its file system has none.") { Path = path };

    /// <summary>The first permission of a set, as QEMU's own messages spell it.</summary>
    private static string NameOf(ImagePermissions set) => (ImagePermissions)((int)set & -(int)set) switch
    {
        ImagePermissions.ConsistentRead => "consistent read",
        ImagePermissions.Write => "write",
        ImagePermissions.WriteUnchanged => "write unchanged",
        _ => "resize",
    };
}
