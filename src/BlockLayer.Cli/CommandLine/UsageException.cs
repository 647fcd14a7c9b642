namespace BlockLayer.Cli.CommandLine;

/// <summary>The command line is not one that the command understands. The message completes "blk COMMAND: ...".</summary>
internal sealed class UsageException(string message) : Exception(message);
