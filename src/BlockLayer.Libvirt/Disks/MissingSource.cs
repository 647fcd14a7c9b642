namespace BlockLayer.Libvirt;

/// <summary>A disk whose file was missing when its domain started, and whose definition allows that.</summary>
/// <param name="Target">The disk.</param>
/// <param name="Path">The file.</param>
/// <param name="Reason">What became of the disk.</param>
internal sealed record MissingSource(string Target, string Path, DiskChangeReason Reason);
