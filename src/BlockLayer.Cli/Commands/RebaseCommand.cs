using BlockLayer.Cli.CommandLine;
using BlockLayer.Cli.Terminal;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Primitives;

namespace BlockLayer.Cli.Commands;

/// <summary><c>blk rebase</c>: another backing file for an image that nobody uses.</summary>
internal sealed class RebaseCommand : Command
{
    private static readonly Option s_backing = Option.Value(
        'b', "backing", "FILE", "the new backing file (a relative name counts from the image's directory); '' for none");
    private static readonly Option s_backingFormat = Option.Value('F', "backing-format", "FMT", "format of the new backing file; qcow2, qed and add-cow are recognised");
    private static readonly Option s_unsafe = Option.Flag('u', "unsafe", "only change the name in the image: for a backing file that was moved or renamed");

    internal override string Name => "rebase";

    internal override string Summary => "give an image another backing file, its content unchanged";

    internal override string Operands => "FILE";

    internal override (int Minimum, int Maximum) OperandCount => (1, 1);

    internal override IReadOnlyList<Option> Options =>
        [CommonOptions.Format, s_backing, s_backingFormat, s_unsafe, CommonOptions.DryRun, CommonOptions.PassphraseFile, CommonOptions.Progress, CommonOptions.Quiet];

    internal override string Example => "blk rebase -b golden.qcow2 -F qcow2 current.qcow2";

    internal override string Notes =>
        """
        What the new chain would show differently is copied into FILE first, and nothing else. Interrupted, it is run again and goes on from there.
        With -u nothing is compared or copied: if the new backing file holds something else, so does FILE from then on, and every image that stands on it.
        """;

    internal override async Task<int> RunAsync(ParsedArguments arguments, CommandContext context)
    {
        string path = arguments.Operands[0];
        string name = arguments.Get(s_backing) ?? throw new UsageException("it needs the new backing file: -b FILE, or -b '' for none.");
        if (name.Length == 0 && arguments.Has(s_backingFormat))
        {
            throw new UsageException("-F names the format of a backing file, and -b '' asks for none.");
        }

        string? backingPath = name.Length == 0 ? null : Path.Combine(Path.GetDirectoryName(path) ?? "", name);
        OpenPolicy policy = context.PolicyFor([path, .. backingPath is null ? [] : new[] { backingPath }]);
        return arguments.Has(s_unsafe)
            ? await RecordAsync(arguments, context, backingPath, policy).ConfigureAwait(false)
            : await RebaseAsync(arguments, context, backingPath, policy).ConfigureAwait(false);
    }

    private static async Task<int> RebaseAsync(ParsedArguments arguments, CommandContext context, string? backingPath, OpenPolicy policy)
    {
        string path = arguments.Operands[0];
        bool isDryRun = arguments.Has(CommonOptions.DryRun);
        CancellationToken interrupted = context.Console.Interrupted;
        BlockNode? backing = backingPath is null ? null : await OpenBackingAsync(arguments, context, backingPath, policy, BackingMode.Open).ConfigureAwait(false);
        try
        {
            if (backing is not null)
            {
                ImageRebaser.ThrowIfContains(backing, path); // else its own lock would keep the image from being opened
            }

            ImageOpenOptions open = new ImageOpenOptions { Access = isDryRun ? NodeAccess.ReadOnly : NodeAccess.ReadWrite, Policy = policy, Secrets = context.Secrets }
                .WithFormat(arguments.Get(CommonOptions.Format));
            BlockNode image = await context.Opener.OpenAsync(path, open, interrupted).ConfigureAwait(false);
            await using (image.ConfigureAwait(false))
            {
                using ProgressLine line = context.ShowProgress();
                if (isDryRun)
                {
                    PlanText.Write(await ChainPlanner.PlanRebaseAsync(image, backing, PlanText.DirectoriesOf(image), line, interrupted).ConfigureAwait(false), context.Out);
                    return ExitCode.Success;
                }

                var options = new ImageRebaseOptions { BackingName = backing is null ? null : arguments.Get(s_backing) };
                ImageRebaseResult result = await ImageRebaser.RebaseAsync(image, backing, options, line, interrupted).ConfigureAwait(false);
                backing = null; // the image's now
                if (result.Error is { } error)
                {
                    context.Console.Error.WriteLine(ErrorText.Beside(error, path, "The rebase was completed all the same."));
                }

                string chain = string.Join(" <- ", BackingChain.Images(image).Reverse().Select(node => node.Path ?? node.NodeName));
                context.Say($"Copied {ByteSize.Format(result.DataBytes)} as data, {ByteSize.Format(result.ZeroBytes)} as zeroes. The chain is now {chain}.");
                return ExitCode.Success;
            }
        }
        finally
        {
            if (backing is not null)
            {
                await backing.DisposeAsync().ConfigureAwait(false);
            }
        }
    }

    private static async Task<int> RecordAsync(ParsedArguments arguments, CommandContext context, string? backingPath, OpenPolicy policy)
    {
        if (arguments.Has(CommonOptions.DryRun))
        {
            throw new UsageException("-u compares nothing, so there is nothing that --dry-run could tell.");
        }

        BackingReference? reference = null;
        if (backingPath is not null)
        {
            string? format = arguments.Get(s_backingFormat);
            if (format is null)
            {
                BlockNode found = await OpenBackingAsync(arguments, context, backingPath, policy, BackingMode.Ignore).ConfigureAwait(false);
                format = found.DriverName;
                await found.DisposeAsync().ConfigureAwait(false);
            }

            CommandContext.Formats.Get(format);
            reference = new BackingReference(arguments.Get(s_backing)!, format);
        }

        ImageOpenOptions open = new ImageOpenOptions { Access = NodeAccess.ReadWrite, Policy = policy, Backing = BackingMode.Ignore, Secrets = context.Secrets }
            .WithFormat(arguments.Get(CommonOptions.Format));
        BlockNode image = await context.Opener.OpenAsync(arguments.Operands[0], open).ConfigureAwait(false);
        await using (image.ConfigureAwait(false))
        {
            await ImageRebaser.RecordAsync(image, reference, context.Console.Interrupted).ConfigureAwait(false);
        }

        string recorded = reference is null ? "no backing file" : $"the backing file {reference}";
        context.Say($"{arguments.Operands[0]} records {recorded}; nothing was compared or copied.");
        return ExitCode.Success;
    }

    private static ValueTask<BlockNode> OpenBackingAsync(ParsedArguments arguments, CommandContext context, string path, OpenPolicy policy, BackingMode chain)
        => context.Opener.OpenAsync(
            path,
            new ImageOpenOptions { Format = arguments.Get(s_backingFormat), Policy = policy, Backing = chain, Secrets = context.Secrets },
            context.Console.Interrupted);
}
