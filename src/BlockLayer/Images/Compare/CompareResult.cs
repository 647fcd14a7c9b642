namespace BlockLayer.Images;

/// <summary>The result of a comparison.</summary>
/// <param name="Outcome">How it ended.</param>
/// <param name="Offset">Guest offset in bytes of the first difference; null without one, or where only sizes differ.</param>
/// <param name="SizesDiffer">True when one image is longer, in whatever mode.</param>
public sealed record CompareResult(CompareOutcome Outcome, long? Offset, bool SizesDiffer);
