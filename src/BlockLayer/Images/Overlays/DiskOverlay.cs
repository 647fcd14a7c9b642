namespace BlockLayer.Images;

/// <summary>An overlay that a disk is to go on with.</summary>
/// <param name="Disk">The disk.</param>
/// <param name="Path">The overlay's file.</param>
/// <param name="Options">How it is made or found; null: a new qcow2 image.</param>
public sealed record DiskOverlay(Disk Disk, string Path, OverlayOptions? Options = null);
