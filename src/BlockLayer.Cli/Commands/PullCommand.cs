using System.Runtime.ExceptionServices;
using BlockLayer.Cli.CommandLine;
using BlockLayer.Cli.Terminal;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Primitives;

namespace BlockLayer.Cli.Commands;

/// <summary><c>blk pull</c>: fills an image from its backing files and shortens its chain. Interrupted, it is run again and goes on.</summary>
internal sealed class PullCommand : Command
{
    private static readonly Option s_base = Option.Value('b', "base", "FILE", "stop above FILE, which becomes the backing file; without it, none is left");
    private static readonly Option s_bandwidth = Option.Value('r', "bandwidth", "SIZE", "copy at most SIZE bytes a second");

    internal override string Name => "pull";

    internal override string Summary => "fill an image from its backing files and shorten its chain";

    internal override string Operands => "FILE";

    internal override (int Minimum, int Maximum) OperandCount => (1, 1);

    internal override IReadOnlyList<Option> Options => [CommonOptions.Format, s_base, s_bandwidth, CommonOptions.DryRun, CommonOptions.PassphraseFile, CommonOptions.Progress, CommonOptions.Quiet];

    internal override string Example => "blk pull current.qcow2 --base template.qcow2 --bandwidth 100M --progress";

    internal override string Notes =>
        "Ctrl-C stops it cleanly; what is copied stays copied, and the same command goes on from there. The chain reads the same at every moment.";

    internal override async Task<int> RunAsync(ParsedArguments arguments, CommandContext context)
    {
        string path = arguments.Operands[0];
        string? basePath = arguments.Get(s_base);
        var options = new StreamOptions { BaseName = basePath, BytesPerSecond = arguments.GetSize(s_bandwidth) ?? 0 };
        var open = new DiskOptions
        {
            Access = arguments.Has(CommonOptions.DryRun) ? NodeAccess.ReadOnly : NodeAccess.ReadWrite,
            Format = arguments.Get(CommonOptions.Format),
            Policy = context.PolicyFor([path, .. basePath is null ? [] : new[] { basePath }]),
            Environment = context.Environment,
        };
        CancellationToken interrupted = context.Console.Interrupted;
        Disk disk = await context.OpenDiskAsync(path, open).ConfigureAwait(false);
        await using (disk.ConfigureAwait(false))
        {
            if (arguments.Has(CommonOptions.DryRun))
            {
                PlanText.Write(await disk.PlanPullAsync(options, PlanText.DirectoriesOf(disk.Root), interrupted).ConfigureAwait(false), context.Out);
                return ExitCode.Success;
            }

            long lacking = await PullWatch.MeasureLackingAsync(disk, basePath, interrupted).ConfigureAwait(false);
            JobResult result = await PullAsync(disk, options, lacking, context).ConfigureAwait(false);
            if (result is { Outcome: JobOutcome.Failed, Error: { } failure })
            {
                ExceptionDispatchInfo.Throw(failure);
            }

            if (result.Error is { } error)
            {
                context.Console.Error.WriteLine(ErrorText.Beside(error, path, $"The pull was {(result.Outcome == JobOutcome.Completed ? "completed" : "interrupted")} all the same."));
            }

            if (result.Outcome == JobOutcome.Cancelled)
            {
                long left = await PullWatch.MeasureLackingAsync(disk, basePath, CancellationToken.None).ConfigureAwait(false);
                context.Complain(
                    $"blk: {path}: interrupted with {ByteSize.Format(lacking - left)} of {ByteSize.Format(lacking)} copied. "
                    + "Run the same command again to go on from there.");
                return ExitCode.Interrupted;
            }

            string chain = string.Join(" <- ", disk.Chain.Reverse().Select(image => image.Path ?? image.NodeName));
            context.Say($"Copied {ByteSize.Format(lacking)}. The chain is now {chain}.");
            return ExitCode.Success;
        }
    }

    private static async Task<JobResult> PullAsync(Disk disk, StreamOptions options, long lacking, CommandContext context)
    {
        StreamJob job = await disk.StartPullAsync(options).ConfigureAwait(false);
        using CancellationTokenRegistration stop = context.Console.Interrupted.Register(() => job.TryCancel());
        using (ProgressLine line = context.ShowProgress())
        {
            await PullWatch.ShowAsync(job, lacking, line, context.Environment.Time).ConfigureAwait(false);
            JobResult result = await job.Completion.ConfigureAwait(false);
            line.Report(new ByteProgress(result.Outcome == JobOutcome.Completed ? lacking : Math.Min(job.CopiedBytes, lacking), lacking));
            return result;
        }
    }
}
