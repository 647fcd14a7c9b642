using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.TestKit.Hostile;

namespace BlockLayer.Tests.Images.Hostile;

/// <summary>One line of the corpus of hostile qcow2 images: what is in the file, and what has to come of it.</summary>
/// <param name="Name">Its number in the corpus, and what is wrong.</param>
/// <param name="Image">The file.</param>
/// <param name="Verdict">What an inspection says.</param>
/// <param name="Open">What opening it is refused with; null if it opens.</param>
internal sealed record Qcow2CorpusCase(string Name, byte[] Image, InspectionVerdict Verdict, BlockErrorKind? Open)
{
    /// <summary>What reading everything fails with somewhere; null if all of it can be read.</summary>
    internal BlockErrorKind? Read { get; init; }

    /// <summary>A check finds corruption.</summary>
    internal bool IsCorrupt { get; init; }

    /// <summary>Writing to the first guest cluster is refused, because metadata could be hit.</summary>
    internal bool RefusesWrites { get; init; }

    /// <summary>As what it is inspected.</summary>
    internal string? InspectAs { get; init; } = "qcow2";

    /// <summary>The files beside it, by path.</summary>
    internal IReadOnlyDictionary<string, byte[]> Others { get; init; } = new Dictionary<string, byte[]>();

    /// <summary>What is opened for it, itself first.</summary>
    internal IReadOnlyList<string> Opened { get; init; } = [ImageExercise.ImagePath];

    /// <summary>The number in the corpus, such as 7.</summary>
    internal int Number => int.Parse(Name["2.".Length..Name.IndexOf(' ', StringComparison.Ordinal)], System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>Its structure cannot be trusted, so it does not open.</summary>
    internal static Qcow2CorpusCase Reject(
        string name, byte[] image, BlockErrorKind kind = BlockErrorKind.InvalidFormat, InspectionVerdict verdict = InspectionVerdict.Damaged)
        => new(name, image, verdict, kind);

    /// <summary>It opens, and what the bad entry maps cannot be read.</summary>
    internal static Qcow2CorpusCase Local(string name, byte[] image, InspectionVerdict verdict = InspectionVerdict.Safe)
        => new(name, image, verdict, null) { Read = BlockErrorKind.Corrupt, IsCorrupt = true };

    /// <summary>It opens and can be read, and a check finds what is wrong.</summary>
    internal static Qcow2CorpusCase Checked(string name, byte[] image, InspectionVerdict verdict = InspectionVerdict.Safe)
        => new(name, image, verdict, null) { IsCorrupt = true };

    /// <summary>It is odd, and sound.</summary>
    internal static Qcow2CorpusCase Odd(string name, byte[] image, InspectionVerdict verdict = InspectionVerdict.Safe) => new(name, image, verdict, null);
}
