using BlockLayer.Cli.Terminal;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Primitives;

namespace BlockLayer.Cli.Commands;

/// <summary>What <c>--dry-run</c> prints: a plan, one thing a line.</summary>
internal static class PlanText
{
    internal static void Write(ChainPlan plan, TextWriter writer)
    {
        writer.WriteLine($"{plan.Operation} of {PrintableText.Of(plan.Image)}{Target(plan)}; nothing was changed.");
        Write(writer, "to copy", $"{Size(plan.DataBytes)} as data, {Size(plan.ZeroBytes)} as zeroes");
        if (plan.GrownBytes > 0)
        {
            Write(writer, "grows", $"{plan.Base} by {Size(plan.GrownBytes)}");
        }

        Write(writer, "emptied", plan.EmptiesImage ? [plan.Image] : []);
        Write(writer, "changed", plan.Changed);
        Write(writer, "invalid afterwards", plan.Invalid);
        Write(writer, "not needed afterwards", plan.Unneeded);
        Write(writer, "needed by others", plan.Dependent.Select(static image => $"{image.Through} (by {image.Path})"));
        Write(writer, "destroyed", plan.Destroyed.Select(static image => $"{image.Path} (reads through {image.Through})"));
        Write(writer, "not judged", plan.Unjudged.Select(static file => $"{file.Path}: {file.Reason}"));
    }

    /// <summary>Where the images of a chain lie: other images that read through it are likely there too.</summary>
    internal static IReadOnlyList<string> DirectoriesOf(BlockNode image)
        =>
        [
            .. BackingChain.Images(image).Select(static node => node.Path).OfType<string>()
                .Select(static path => Path.GetDirectoryName(path) is { Length: > 0 } directory ? directory : ".").Distinct(),
        ];

    private static string Target(ChainPlan plan) => (plan.Operation, plan.Base) switch
    {
        (_, null) => plan.Operation == ChainOperation.Rebase ? " to stand alone" : " of everything below it",
        (ChainOperation.Commit, { } basis) => $" into {PrintableText.Of(basis)}",
        (ChainOperation.Rebase, { } basis) => $" onto {PrintableText.Of(basis)}",
        (_, { } basis) => $" down to {PrintableText.Of(basis)}",
    };

    private static string Size(long bytes) => $"{ByteSize.Format(bytes)} ({bytes} bytes)";

    private static void Write(TextWriter writer, string what, IEnumerable<string> items)
    {
        foreach (string item in items)
        {
            Write(writer, what, item);
        }
    }

    private static void Write(TextWriter writer, string what, string item) => writer.WriteLine($"  {what + ":",-24}{PrintableText.Of(item)}");
}
