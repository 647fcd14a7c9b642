namespace BlockLayer.Graph;

/// <summary>One fault that a check found.</summary>
/// <param name="Kind">How bad it is.</param>
/// <param name="Message">The subject as the specification spells it, what was found and where, what is allowed.</param>
public sealed record ImageCheckFinding(ImageFaultKind Kind, string Message);
