namespace BlockLayer.Graph;

/// <summary>Another file that an image makes a program open.</summary>
/// <param name="Role">What for.</param>
/// <param name="Name">The name as the image spells it, which may be anything; null where the image needs the file and does not name it.</param>
/// <param name="Format">The format that the image records for it; null where it does not.</param>
public sealed record FileReference(FileReferenceRole Role, string? Name, string? Format);
