namespace BlockLayer.TestKit;

/// <summary>How a program ended and what it said.</summary>
public sealed record QemuResult(int ExitCode, string Output, string Error);
