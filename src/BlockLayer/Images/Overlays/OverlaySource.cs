namespace BlockLayer.Images;

/// <summary>Where an overlay comes from that a disk is to go on with.</summary>
public enum OverlaySource
{
    /// <summary>It is created; a file of that name must not exist.</summary>
    Create,

    /// <summary>
    /// It exists, and its backing file is the disk's newest image. It may hold something already, as long as that is what the disk holds.
    /// </summary>
    Existing,
}
