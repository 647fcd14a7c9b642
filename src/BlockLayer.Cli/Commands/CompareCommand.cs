using BlockLayer.Cli.CommandLine;
using BlockLayer.Cli.Terminal;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;

namespace BlockLayer.Cli.Commands;

/// <summary><c>blk compare</c>: whether two images show a guest the same bytes.</summary>
internal sealed class CompareCommand : Command
{
    private static readonly Option s_first = Option.Value('f', "format", "FMT", "format of FILE1");
    private static readonly Option s_second = Option.Value('F', "second-format", "FMT", "format of FILE2");
    private static readonly Option s_strict = Option.Flag('s', "strict", "sizes and allocation have to be the same too");

    internal override string Name => "compare";

    internal override string Summary => "tell whether two images show a guest the same bytes";

    internal override string Operands => "FILE1 FILE2";

    internal override (int Minimum, int Maximum) OperandCount => (2, 2);

    internal override IReadOnlyList<Option> Options => [s_first, s_second, s_strict, CommonOptions.ForceShare, CommonOptions.PassphraseFile, CommonOptions.Progress, CommonOptions.Quiet];

    internal override string Example => "blk compare -f raw disk.raw -F qcow2 disk.qcow2";

    internal override string Notes => "Images of different size are equal when the longer one ends in zeroes, unless -s is given.";

    internal override int FailureCode => ExitCode.CompareFailure;

    internal override async Task<int> RunAsync(ParsedArguments arguments, CommandContext context)
    {
        (string first, string second) = (arguments.Operands[0], arguments.Operands[1]);
        OpenPolicy policy = context.PolicyFor(first, second);
        var openFirst = new ImageOpenOptions { Policy = policy, Locking = context.Locking }.WithFormat(arguments.Get(s_first));
        BlockNode left = await context.OpenAsync(first, openFirst).ConfigureAwait(false);
        await using (left.ConfigureAwait(false))
        {
            var openSecond = new ImageOpenOptions { Policy = policy, Locking = context.Locking }.WithFormat(arguments.Get(s_second));
            BlockNode right = await context.OpenAsync(second, openSecond).ConfigureAwait(false);
            await using (right.ConfigureAwait(false))
            {
                return await CompareAsync(left, right, arguments.Has(s_strict) ? CompareMode.Strict : CompareMode.Content, context).ConfigureAwait(false);
            }
        }
    }

    private async Task<int> CompareAsync(BlockNode left, BlockNode right, CompareMode mode, CommandContext context)
    {
        CompareResult result;
        try
        {
            using ProgressLine progress = context.ShowProgress();
            result = await ImageComparer.CompareAsync(left, right, mode, progress, context.Console.Interrupted).ConfigureAwait(false);
        }
        catch (BlockLayerException error)
        {
            context.Console.Error.WriteLine(ErrorText.Of(error, this, left.Path));
            return ExitCode.CompareReadFailure;
        }

        if (result.SizesDiffer && mode == CompareMode.Content)
        {
            context.Say("Warning: Image size mismatch!");
        }

        context.Say(result.Outcome switch
        {
            CompareOutcome.Identical => "Images are identical.",
            CompareOutcome.SizeDiffers => "Strict mode: Image size mismatch!",
            CompareOutcome.AllocationDiffers => $"Strict mode: Offset {result.Offset} block status mismatch!",
            _ => $"Content mismatch at offset {result.Offset}!",
        });
        return result.Outcome == CompareOutcome.Identical ? ExitCode.Success : ExitCode.Different;
    }
}
