namespace BlockLayer.Graph;

/// <summary>One thing that an inspection noticed.</summary>
/// <param name="Verdict">What this alone would make of the file; <see cref="InspectionVerdict.Safe"/> for what is only worth knowing.</param>
/// <param name="Reading">The format as which the file was read when it was noticed.</param>
/// <param name="Field">The field as the format's specification spells it.</param>
/// <param name="Offset">Byte position in the file; null where there is none.</param>
/// <param name="Expected">What the format allows there, as text; null where <paramref name="Message"/> says all.</param>
/// <param name="Message">A sentence for people.</param>
public sealed record InspectionReason(InspectionVerdict Verdict, string Reading, string Field, long? Offset, string? Expected, string Message);
