using System.Globalization;
using BlockLayer.Cli.CommandLine;
using BlockLayer.Cli.Terminal;
using BlockLayer.Graph;
using BlockLayer.Images;

namespace BlockLayer.Cli.Commands;

/// <summary><c>blk check</c>: whether the tables of an image agree with each other.</summary>
internal sealed class CheckCommand : Command
{
    private static readonly Option s_repair = Option.Value('r', "repair", "leaks|all", "repair what is found: lost space only, or everything");

    internal override string Name => "check";

    internal override string Summary => "look for corruption and lost space in an image (qcow2, qed, add-cow), and repair it (qcow2, qed)";

    internal override string Operands => "FILE";

    internal override (int Minimum, int Maximum) OperandCount => (1, 1);

    internal override IReadOnlyList<Option> Options =>
    [
        CommonOptions.Format, s_repair, CommonOptions.PassphraseFile, CommonOptions.Output, CommonOptions.ForceShare, CommonOptions.Progress, CommonOptions.Quiet,
    ];

    internal override string Example => "blk check current.qcow2";

    internal override string Notes =>
        """
        Only FILE is checked, not its backing files, and without -r nothing is changed.
        -r all keeps every byte that can be read: clusters with several users are copied for each, and what leads nowhere becomes zeroes.
        A repair that is cut off is finished by another one. Where data matters, copy FILE first: what was lost before is lost.
        The exit code tells what is left: 0 nothing, 1 failed or a part could not be checked, 2 corruption, 3 lost space.
        """;

    internal override async Task<int> RunAsync(ParsedArguments arguments, CommandContext context)
    {
        bool json = arguments.GetChoice(CommonOptions.Output, "human", "json") == "json";
        RepairMode? repair = arguments.Has(s_repair) ? arguments.GetChoice(s_repair, "leaks", "all") == "all" ? RepairMode.All : RepairMode.Leaks : null;
        if (repair is not null && arguments.Has(CommonOptions.ForceShare))
        {
            throw new UsageException($"{s_repair.Spelling} and {CommonOptions.ForceShare.Spelling} exclude each other: an image that somebody else writes cannot be repaired.");
        }

        string path = arguments.Operands[0];
        ImageOpenOptions options = new ImageOpenOptions
        {
            Access = repair is null ? NodeAccess.ReadOnly : NodeAccess.ReadWrite,
            Purpose = OpenPurpose.Repair,
            Backing = BackingMode.Ignore,
            DataFile = DataFileMode.Ignore,
            Locking = context.Locking,
            Secrets = context.Secrets, // a repair copies clusters, and what they decrypt to may depend on where they lie
        }.WithFormat(arguments.Get(CommonOptions.Format));
        BlockNode image = await context.Opener.OpenAsync(path, options).ConfigureAwait(false);
        await using (image.ConfigureAwait(false))
        {
            if (repair is null ? !ImageChecker.CanCheck(image) : !ImageChecker.CanRepair(image))
            {
                context.Complain($"blk: {path}: Format {image.DriverName} has nothing to {(repair is null ? "check" : "repair")}.");
                return ExitCode.CheckUnsupported;
            }

            ImageCheckReport report;
            ImageRepairReport? repaired = null;
            using (ProgressLine progress = context.ShowProgress())
            {
                if (repair is { } mode)
                {
                    repaired = await ImageChecker.RepairAsync(image, mode, progress, context.Console.Interrupted).ConfigureAwait(false);
                    report = repaired.After;
                }
                else
                {
                    report = await ImageChecker.CheckAsync(image, progress, context.Console.Interrupted).ConfigureAwait(false);
                }
            }

            if (json)
            {
                CheckJson.Write(context.Out, image, report, repaired);
            }
            else
            {
                WriteRepairs(context, repaired);
                WriteText(context, report);
            }

            return report switch
            {
                { CheckErrors: > 0 } => ExitCode.Failure,
                { Corruptions: > 0 } => ExitCode.CheckCorrupt,
                { Leaks: > 0 } => ExitCode.CheckLeaks,
                _ => ExitCode.Success,
            };
        }
    }

    private static void WriteRepairs(CommandContext context, ImageRepairReport? repaired)
    {
        if (repaired is not { Repairs.Count: > 0 })
        {
            return;
        }

        foreach (string repair in repaired.Repairs)
        {
            context.Say($"Repaired: {repair}");
        }

        context.Say($"{repaired.CorruptionsFixed} errors and {repaired.LeaksFixed} leaked clusters were repaired. What a check finds now:");
    }

    private static void WriteText(CommandContext context, ImageCheckReport report)
    {
        foreach (ImageCheckFinding finding in report.Findings)
        {
            context.Say($"{(finding.Kind == ImageFaultKind.Leak ? "Leaked" : "ERROR")} {finding.Message}");
        }

        long hidden = report.Corruptions + report.Leaks + report.CheckErrors - report.Findings.Count;
        if (hidden > 0 && report.Findings.Count > 0)
        {
            context.Say($"... and {hidden} more.");
        }

        if (report.IsClean)
        {
            context.Say("No errors were found on the image.");
        }

        if (report.Corruptions > 0)
        {
            context.Say($"{report.Corruptions} errors were found on the image. Data may be corrupted, or further writes may corrupt it.");
        }

        if (report.Leaks > 0)
        {
            context.Say($"{report.Leaks} leaked clusters were found on the image. Space is lost, no data is.");
        }

        if (report.CheckErrors > 0)
        {
            context.Say($"{report.CheckErrors} places of the image could not be checked.");
        }

        if (report.TotalClusters > 0)
        {
            context.Say(
                $"{report.AllocatedClusters}/{report.TotalClusters} = {Percent(report.AllocatedClusters, report.TotalClusters)} allocated, "
                + $"{Percent(report.FragmentedClusters, report.AllocatedClusters)} fragmented, "
                + $"{Percent(report.CompressedClusters, report.AllocatedClusters)} compressed clusters");
        }

        context.Say($"Image end offset: {report.ImageEndOffset}");
    }

    private static string Percent(long part, long whole)
        => string.Create(CultureInfo.InvariantCulture, $"{(whole == 0 ? 0 : part * 100.0 / whole):0.00}%");
}
