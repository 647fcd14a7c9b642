namespace BlockLayer.Storage;

/// <summary>
/// The locks that programs of QEMU's family take on an image file: which permissions this opener uses, and which it does not share with others.
/// On Linux they are open-file-description locks on byte 100 + bit (used) and 200 + bit (not shared).
/// </summary>
/// <param name="Used">Permissions this opener uses.</param>
/// <param name="Shared">Permissions others may use meanwhile.</param>
public sealed record ImageLock(ImagePermissions Used, ImagePermissions Shared)
{
    /// <summary>An image that is read and that nobody may write meanwhile: a backing file, or a read-only open.</summary>
    public static ImageLock Reader { get; } = new(ImagePermissions.ConsistentRead, ImagePermissions.ConsistentRead | ImagePermissions.WriteUnchanged);

    /// <summary>An image that is read and written, and that others may only read without caring for order.</summary>
    public static ImageLock Writer { get; } = new(
        ImagePermissions.ConsistentRead | ImagePermissions.Write | ImagePermissions.Resize,
        ImagePermissions.ConsistentRead | ImagePermissions.WriteUnchanged);
}
