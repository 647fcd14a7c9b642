namespace BlockLayer.Images;

/// <summary>A file of which it cannot be told whether it reads through the chain.</summary>
/// <param name="Path">The file, or the directory.</param>
/// <param name="Reason">Why, in a sentence.</param>
public sealed record UnjudgedFile(string Path, string Reason);
