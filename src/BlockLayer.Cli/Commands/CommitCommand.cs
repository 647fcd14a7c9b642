using BlockLayer.Cli.CommandLine;
using BlockLayer.Cli.Terminal;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Primitives;

namespace BlockLayer.Cli.Commands;

/// <summary><c>blk commit</c>: writes what an overlay holds into an image below it.</summary>
internal sealed class CommitCommand : Command
{
    private static readonly Option s_base = Option.Value('b', "base", "FILE", "commit into FILE, further down in the chain; what lies between is invalid afterwards");
    private static readonly Option s_keep = Option.Flag('d', "keep", "keep what the overlay holds; with a FILE that is not its own backing file it is kept anyway");
    private static readonly Option s_force = Option.Flag(null, "force", "also if that destroys other overlays");
    private static readonly Option s_search = Option.Value(null, "search", "DIR", "look for other overlays in DIR too, besides where the chain lies (may be repeated)");

    internal override string Name => "commit";

    internal override string Summary => "write what an overlay holds into its backing file";

    internal override string Operands => "FILE";

    internal override (int Minimum, int Maximum) OperandCount => (1, 1);

    internal override IReadOnlyList<Option> Options =>
    [
        CommonOptions.Format, s_base, s_keep, s_force, s_search, CommonOptions.DryRun, CommonOptions.PassphraseFile, CommonOptions.Progress, CommonOptions.Quiet,
    ];

    internal override string Example => "blk commit --dry-run current.qcow2";

    internal override string Notes =>
        """
        A shorter base grows. The base is on disk before the overlay is emptied; interrupted, the same command is run again. Every other image that reads through
        the base, or through an image in between, reads something else afterwards: such images are looked for, and named, and then nothing is done without --force.
        """;

    internal override async Task<int> RunAsync(ParsedArguments arguments, CommandContext context)
    {
        string path = arguments.Operands[0];
        string? basePath = arguments.Get(s_base);
        bool isDryRun = arguments.Has(CommonOptions.DryRun);
        CancellationToken interrupted = context.Console.Interrupted;
        ImageOpenOptions open = new ImageOpenOptions
        {
            Access = isDryRun ? NodeAccess.ReadOnly : NodeAccess.ReadWrite,
            Policy = context.PolicyFor([path, .. basePath is null ? [] : new[] { basePath }]),
            Secrets = context.Secrets,
        }.WithFormat(arguments.Get(CommonOptions.Format));
        BlockNode image = await context.Opener.OpenAsync(path, open, interrupted).ConfigureAwait(false);
        await using (image.ConfigureAwait(false))
        {
            BlockNode? basis = basePath is null ? null : BackingChain.FindByPath(image, basePath);
            var options = new ImageCommitOptions { Committed = arguments.Has(s_keep) ? CommittedImage.Keep : CommittedImage.Empty };
            ChainPlan plan = await ChainPlanner.PlanCommitAsync(image, basis, options, [.. PlanText.DirectoriesOf(image), .. arguments.GetAll(s_search)], interrupted).ConfigureAwait(false);
            if (isDryRun)
            {
                PlanText.Write(plan, context.Out);
                return ExitCode.Success;
            }

            return IsRefused(plan, arguments, context) ? ExitCode.Failure : await CommitAsync(image, basis, options, context).ConfigureAwait(false);
        }
    }

    private static async Task<int> CommitAsync(BlockNode image, BlockNode? basis, ImageCommitOptions options, CommandContext context)
    {
        BlockNode target = basis ?? image.Backing!.SkipFilters();
        ImageCommitResult result;
        using (ProgressLine line = context.ShowProgress())
        {
            result = await ImageCommitter.CommitAsync(image, basis, options, line, context.Console.Interrupted).ConfigureAwait(false);
        }

        string path = image.Path ?? image.NodeName;
        context.Say(
            $"Committed {ByteSize.Format(result.DataBytes)} as data, {ByteSize.Format(result.ZeroBytes)} as zeroes into {target.Path ?? target.NodeName}. "
            + (result.EmptiesImage ? $"{path} is empty now." : $"{path} keeps what it holds."));
        return ExitCode.Success;
    }

    private static bool IsRefused(ChainPlan plan, ParsedArguments arguments, CommandContext context)
    {
        if (arguments.Has(s_force))
        {
            return false;
        }

        foreach (AffectedImage destroyed in plan.Destroyed)
        {
            context.Complain($"blk: {destroyed.Path}: it reads through '{destroyed.Through}' and would be destroyed.");
        }

        if (plan.Destroyed.Count > 0)
        {
            context.Console.Error.WriteLine("blk: nothing was done. Pull or rebase those images first, or use --force to give them up.");
        }
        else if (plan.Unjudged.Count > 0)
        {
            context.Console.Error.WriteLine($"blk: {plan.Unjudged.Count} {(plan.Unjudged.Count == 1 ? "file" : "files")} beside the chain could not be judged; --dry-run tells which and why.");
        }

        return plan.Destroyed.Count > 0;
    }
}
