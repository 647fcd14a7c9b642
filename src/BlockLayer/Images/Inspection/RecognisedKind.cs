namespace BlockLayer.Images;

/// <summary>What a signature belongs to.</summary>
public enum RecognisedKind
{
    /// <summary>An image format: a program that guesses opens the file as one.</summary>
    Image,

    /// <summary>What a disk holds: partitions, a file system, an encrypted volume. The file that shows it is a raw disk.</summary>
    DiskContent,
}
