namespace BlockLayer.Cli.CommandLine;

/// <summary>The command line is not one that the command understands. The message completes "blk COMMAND: ...".</summary>
internal sealed class UsageException : Exception
{
    internal UsageException(string message)
        : base(message)
    {
    }

    /// <summary>What the library does not take, without the word for it in the library's code, which the framework adds to the sentence.</summary>
    internal UsageException(ArgumentException refusal)
        : base(refusal.Message.Split($" (Parameter '{refusal.ParamName}')")[0])
    {
    }
}
