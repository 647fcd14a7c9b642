using BlockLayer.Cli.CommandLine;
using BlockLayer.Cli.Terminal;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Primitives;

namespace BlockLayer.Cli.Commands;

/// <summary><c>blk inspect</c>: whether a file of unknown origin may be opened at all.</summary>
internal sealed class InspectCommand : Command
{
    private static readonly Option s_json = Option.Flag(null, "json", "print the findings as JSON (as --output json)");

    internal override string Name => "inspect";

    internal override string Summary => "tell whether a file of unknown origin is safe to open";

    internal override string Operands => "FILE";

    internal override (int Minimum, int Maximum) OperandCount => (1, 1);

    internal override IReadOnlyList<Option> Options => [CommonOptions.Format, CommonOptions.Output, s_json, CommonOptions.ForceShare];

    internal override string Example => "blk inspect --json upload.qcow2";

    internal override string Notes =>
        $"""
        At most {ByteSize.Format(ImageInspector.MaxBytesRead)} of FILE are read, and no other file is opened. With -f, FILE is judged as what it is going to be opened as.

        Exit codes:
          0    safe: nothing else is opened, and nothing that was looked at is wrong
          1    the file cannot be read, or wrong use
          2    damaged
          4    no image of a known format, or not of the given one
          63   a format or feature that is not implemented here
          77   it refers to other files
        """;

    internal override async Task<int> RunAsync(ParsedArguments arguments, CommandContext context)
    {
        bool json = arguments.GetChoice(CommonOptions.Output, "human", "json") == "json" || arguments.Has(s_json);
        var options = new InspectOptions { Format = arguments.Get(CommonOptions.Format), Locking = context.Locking, Environment = context.Environment };
        ImageInspection inspection = await ImageInspector.InspectAsync(arguments.Operands[0], options, context.Console.Interrupted).ConfigureAwait(false);
        if (json)
        {
            InspectJson.Write(context.Out, inspection);
        }
        else
        {
            WriteText(context.Out, inspection);
        }

        return inspection.Verdict switch
        {
            InspectionVerdict.Safe => ExitCode.Success,
            InspectionVerdict.Damaged => ExitCode.InspectDamaged,
            InspectionVerdict.NotAnImage => ExitCode.InspectNotAnImage,
            InspectionVerdict.Unsupported => ExitCode.InspectUnsupported,
            InspectionVerdict.ReferencesOtherFiles => ExitCode.Refused,
            _ => throw new InvalidOperationException($"{inspection.Verdict} has no exit code."),
        };
    }

    private static void WriteText(TextWriter writer, ImageInspection inspection)
    {
        writer.WriteLine($"file: {PrintableText.Of(inspection.Path)}");
        writer.WriteLine($"verdict: {TextOf(inspection.Verdict)}");
        writer.WriteLine($"read as: {inspection.Format ?? "nothing known"}");
        if (inspection.VirtualSize is { } size)
        {
            writer.WriteLine($"virtual size: {ByteSize.Format(size)} ({size} bytes)");
        }

        writer.WriteLine($"bytes read: {inspection.BytesRead} of {inspection.FileLength}");
        if (inspection.Recognised.Count > 0)
        {
            writer.WriteLine($"recognised: {string.Join(", ", inspection.Recognised.Select(content => $"{content.Name} at byte {content.Offset}"))}");
        }

        foreach (InspectionReason reason in inspection.Reasons)
        {
            string place = reason.Offset is { } offset ? $" at byte {offset}" : "";
            string expected = reason.Expected is { } text ? $" Expected: {text}." : "";
            writer.WriteLine(PrintableText.Of($"  {(reason.Verdict == InspectionVerdict.Safe ? "note" : TextOf(reason.Verdict))} [{reason.Reading}] {reason.Field}{place}: {reason.Message}{expected}"));
        }
    }

    internal static string TextOf(InspectionVerdict verdict) => verdict switch
    {
        InspectionVerdict.Safe => "safe",
        InspectionVerdict.ReferencesOtherFiles => "references-other-files",
        InspectionVerdict.Damaged => "damaged",
        InspectionVerdict.NotAnImage => "not-an-image",
        InspectionVerdict.Unsupported => "unsupported",
        _ => throw new ArgumentOutOfRangeException(nameof(verdict)),
    };
}
