using BlockLayer.Errors;

namespace BlockLayer.Graph;

/// <summary>What is found while a file is read as one format.</summary>
/// <param name="reading">The format's name.</param>
internal sealed class InspectionFindings(string reading)
{
    /// <summary>Ours: an image can be damaged in a million places, and nobody reads more.</summary>
    private const int MaxReasons = 32;

    private readonly List<InspectionReason> _reasons = [];
    private readonly List<FileReference> _references = [];

    /// <summary>The format's name.</summary>
    internal string Reading => reading;

    /// <summary>In the order they were found, as many as are kept.</summary>
    internal IReadOnlyList<InspectionReason> Reasons => _reasons;

    /// <summary>In the order they were found.</summary>
    internal IReadOnlyList<FileReference> References => _references;

    /// <summary>True once the header was read as far as its names: <see cref="References"/> are all there are. A header that is refused before that may name anything.</summary>
    internal bool KnowsReferences { get; set; }

    /// <summary>Bytes of the virtual disk; null as long as the image does not say it in a way that can be believed.</summary>
    internal long? VirtualSize { get; set; }

    /// <summary>The worst that any reason makes of the file.</summary>
    internal InspectionVerdict Verdict { get; private set; }

    /// <summary>Something of interest that is not wrong.</summary>
    internal void Note(string field, long? offset, string message) => Add(InspectionVerdict.Safe, field, offset, null, message);

    /// <summary>A contradiction that does not keep the rest from being read.</summary>
    internal void Damaged(string field, long? offset, string? expected, string message) => Add(InspectionVerdict.Damaged, field, offset, expected, message);

    /// <summary>The file is not of this format.</summary>
    internal void NotAnImage(string field, long offset, string expected, string message) => Add(InspectionVerdict.NotAnImage, field, offset, expected, message);

    /// <summary>What an opener would refuse the image with.</summary>
    internal void Refused(ImageFormatException error)
        => Add(
            error.Kind == BlockErrorKind.Unsupported ? InspectionVerdict.Unsupported : InspectionVerdict.Damaged,
            error.Field,
            error.Offset,
            error.Expected,
            error.Message);

    /// <summary>Another file is needed.</summary>
    internal void Refers(FileReference reference, string field, long? offset, string message)
    {
        _references.Add(reference);
        Add(InspectionVerdict.ReferencesOtherFiles, field, offset, "no other file", message);
    }

    private void Add(InspectionVerdict verdict, string field, long? offset, string? expected, string message)
    {
        Verdict = verdict > Verdict ? verdict : Verdict;
        if (_reasons.Count < MaxReasons)
        {
            _reasons.Add(new InspectionReason(verdict, reading, field, offset, expected, message));
        }
    }
}
