using BlockLayer.Graph;

namespace BlockLayer.Images;

/// <summary>What <see cref="ImageInspector"/> found out about a file.</summary>
public sealed record ImageInspection
{
    /// <summary>The file as it was named.</summary>
    public required string Path { get; init; }

    /// <summary>What may be done with it.</summary>
    public required InspectionVerdict Verdict { get; init; }

    /// <summary>The format the verdict is about: the one that was given, or recognised; null where there is none.</summary>
    public required string? Format { get; init; }

    /// <summary>Bytes of the virtual disk; null where the image does not say it in a way that can be believed. It can be far larger than the file.</summary>
    public required long? VirtualSize { get; init; }

    /// <summary>Bytes in the file.</summary>
    public required long FileLength { get; init; }

    /// <summary>Bytes that were read of it, at most <see cref="ImageInspector.MaxBytesRead"/>.</summary>
    public required long BytesRead { get; init; }

    /// <summary>Everything the file shows the signature of, by ascending position. More than one: it is several things at once, to different programs.</summary>
    public required IReadOnlyList<RecognisedContent> Recognised { get; init; }

    /// <summary>The files that opening it, as any format it shows the magic of, would open too.</summary>
    public required IReadOnlyList<FileReference> References { get; init; }

    /// <summary>Why the verdict is what it is, and what else is worth knowing.</summary>
    public required IReadOnlyList<InspectionReason> Reasons { get; init; }
}
