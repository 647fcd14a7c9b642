namespace BlockLayer.Libvirt;

/// <summary>How far the deletion of a snapshot is with one disk.</summary>
public enum DeletionStage
{
    /// <summary>Its data may be on its way; both files are needed, and doing it again from the start is right.</summary>
    Copying,

    /// <summary>
    /// All disks were ready, and this one may be switching. Guests are held back until that is over, so both chains show the same, and doing it again is right.
    /// </summary>
    Switching,

    /// <summary>The staying file is in use; what is left are overlays to re-link and files to remove.</summary>
    Switched,
}
