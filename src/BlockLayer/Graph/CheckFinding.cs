namespace BlockLayer.Graph;

/// <summary>One thing a check found.</summary>
/// <param name="Severity">How bad it is.</param>
/// <param name="Offset">Where in the image file it is, in bytes.</param>
/// <param name="Message">What it is, as a sentence.</param>
public sealed record CheckFinding(CheckSeverity Severity, long Offset, string Message);
