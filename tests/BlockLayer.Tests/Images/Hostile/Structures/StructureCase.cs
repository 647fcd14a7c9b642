using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.TestKit.Hostile;

namespace BlockLayer.Tests.Images.Hostile.Structures;

/// <summary>One line of the corpus as a file.</summary>
/// <param name="Name">The number in the corpus, and what is wrong.</param>
/// <param name="Format">As what it is inspected and opened.</param>
/// <param name="Image">The file.</param>
/// <param name="Expected">What must become of it.</param>
/// <param name="Kind">The kind of the error, for the verdicts that have one.</param>
internal sealed record StructureCase(string Name, string Format, byte[] Image, OpenVerdict Expected, BlockErrorKind? Kind = null)
{
    /// <summary>The number in the corpus.</summary>
    internal string Number => Name[..Name.IndexOf(' ')];

    /// <summary>What the backing file holds that the image may refer to.</summary>
    internal byte[] Base { get; init; } = SeedWorld.Base;

    /// <summary>What the data file of an add-cow image holds; null where there is none.</summary>
    internal byte[]? Data { get; init; } = new byte[CowOverlaySeeds.Length];

    /// <summary>What an encrypted image is opened with; null for nothing.</summary>
    internal Passphrase? Passphrase { get; init; }

    /// <summary>The first write makes the image sound.</summary>
    internal bool IsMendedByWriting { get; init; }

    public override string ToString() => Name;
}
