namespace BlockLayer.Cli.Demo;

/// <summary>Something that the demo proves did not hold. The message says what.</summary>
internal sealed class DemoFailedException(string message) : Exception(message);
