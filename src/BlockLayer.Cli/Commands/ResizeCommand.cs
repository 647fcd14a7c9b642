using BlockLayer.Cli.CommandLine;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Cli.Commands;

/// <summary><c>blk resize</c>: another size of the virtual disk.</summary>
internal sealed class ResizeCommand : Command
{
    private static readonly Option s_shrink = Option.Flag(null, "shrink", "allow a smaller size; what lies behind the new end is lost");
    private static readonly Option s_preallocation = Option.Value(
        null, "preallocation", "MODE", "how much room of what is added is taken at once: off (default), metadata (qcow2), falloc or full");

    internal override string Name => "resize";

    internal override string Summary => "change the size of the virtual disk";

    internal override string Operands => "FILE [+|-]SIZE";

    internal override (int Minimum, int Maximum) OperandCount => (2, 2);

    internal override IReadOnlyList<Option> Options => [CommonOptions.Format, s_shrink, s_preallocation, CommonOptions.PassphraseFile, CommonOptions.Quiet];

    internal override string Example => "blk resize disk.qcow2 +10G";

    internal override string Notes =>
        """
        +SIZE and -SIZE count from the present size. What is added reads as zeroes, whatever a longer backing file holds there. Partitions and file
        systems know nothing of it: grow them afterwards, and make them smaller before.
        """;

    internal override async Task<int> RunAsync(ParsedArguments arguments, CommandContext context)
    {
        (string path, string size) = (arguments.Operands[0], arguments.Operands[1]);
        Preallocation preallocation = arguments.GetChoice(s_preallocation, "off", "metadata", "falloc", "full") switch
        {
            "metadata" => Preallocation.Metadata,
            "falloc" => Preallocation.Falloc,
            "full" => Preallocation.Full,
            _ => Preallocation.Off,
        };
        ImageOpenOptions options = new ImageOpenOptions { Access = NodeAccess.ReadWrite, Policy = context.PolicyFor(path), Secrets = context.Secrets }
            .WithFormat(arguments.Get(CommonOptions.Format));
        BlockNode image = await context.Opener.OpenAsync(path, options).ConfigureAwait(false);
        await using (image.ConfigureAwait(false))
        {
            long length = LengthFrom(size, image.Length);
            if (length < image.Length && !arguments.Has(s_shrink))
            {
                throw new UsageException($"{path} has {image.Length} bytes and would shrink to {length}; --shrink allows it, and what lies behind is lost.");
            }

            var how = new ResizeOptions { AllowShrink = arguments.Has(s_shrink), Preallocation = preallocation };
            await image.ResizeAsync(length, how, context.Console.Interrupted).ConfigureAwait(false);
            context.Say($"{path} has {ByteSize.Format(length)} ({length} bytes).");
        }

        return ExitCode.Success;
    }

    private static long LengthFrom(string size, long present)
    {
        int direction = size.StartsWith('+') ? 1 : size.StartsWith('-') ? -1 : 0;
        long given = ParsedArguments.ParseSize(direction == 0 ? size : size[1..], "SIZE");
        if (direction < 0 && given > present)
        {
            throw new UsageException($"the disk has {present} bytes, so {given} cannot be taken away.");
        }

        if (direction > 0 && given > long.MaxValue - present)
        {
            throw new UsageException($"the disk has {present} bytes, so {given} cannot be added.");
        }

        return direction == 0 ? given : present + (direction * given);
    }
}
