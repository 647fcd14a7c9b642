namespace BlockLayer.Images;

/// <summary>An image outside a chain that reads through a file which an operation on the chain changes, or makes superfluous.</summary>
/// <param name="Path">The image's file.</param>
/// <param name="Through">The file of the chain: of those that are changed, the one that it meets first on its way down.</param>
public sealed record AffectedImage(string Path, string Through);
