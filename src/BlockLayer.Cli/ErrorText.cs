using BlockLayer.Cli.Commands;
using BlockLayer.Cli.Terminal;
using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Cli;

/// <summary>Turns a failure of the library into one line for a person, <c>blk: FILE: what is wrong. What to do.</c>, and into an exit code.</summary>
internal static class ErrorText
{
    /// <param name="error">What happened.</param>
    /// <param name="command">What was being done.</param>
    /// <param name="file">The file the command is about, for errors that know none.</param>
    internal static string Of(BlockLayerException error, Command command, string? file)
    {
        string subject = error.Path ?? file ?? error.NodeName ?? "?";
        string? advice = AdviceFor(error, command, subject);
        return PrintableText.Of($"blk: {subject}: {error.Message}{(advice is null ? "" : " " + advice)}");
    }

    /// <summary>What went wrong besides, while what was asked for is done, or was ended, all the same.</summary>
    /// <param name="error">What happened.</param>
    /// <param name="file">The file the command is about, for errors that know none.</param>
    /// <param name="outcome">A sentence that says what stands.</param>
    internal static string Beside(Exception error, string file, string outcome)
        => PrintableText.Of($"blk: {(error as BlockLayerException)?.Path ?? file}: {error.Message} {outcome}");

    /// <param name="error">What happened.</param>
    /// <param name="otherwise">The code for what has none of its own.</param>
    internal static int CodeOf(BlockLayerException error, int otherwise)
        => error switch
        {
            OpenDeniedException => ExitCode.Refused,
            { Kind: BlockErrorKind.Conflict } => ExitCode.InUse,
            _ => otherwise,
        };

    private static string? AdviceFor(BlockLayerException error, Command command, string subject)
        => error switch
        {
            OpenDeniedException denied when denied.Policy == OpenPolicy.QemuCompatible.Name => null, // --trust was given already
            OpenDeniedException => "Use --allow DIR for a directory you trust, or --trust for images you made yourself.",
            ImageFormatException { Field: "magic" } => "Say another format, or none to have it recognised.",
            { Kind: BlockErrorKind.Corrupt } when command is CheckCommand => "It is too damaged to be checked: get the file again from where it came.",
            { Kind: BlockErrorKind.Corrupt } => $"'blk check {subject}' tells how much is damaged.",
            { Kind: BlockErrorKind.Conflict } when command.Options.Contains(CommonOptions.ForceShare)
                => "Wait until the other user is done, or use -U to look at it meanwhile.",
            { Kind: BlockErrorKind.Conflict } => "Wait until the other user is done, or close it.",
            { Kind: BlockErrorKind.NotFound } when !Path.Exists(subject) => "Check the name and the directory.",
            { Kind: BlockErrorKind.NoSpace } => "Make room and run it again.",
            _ => null,
        };
}
