using BlockLayer.Cli.CommandLine;
using BlockLayer.Cli.Terminal;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Primitives;

namespace BlockLayer.Cli.Commands;

/// <summary><c>blk mirror</c>: makes one image equal to another, or equal again after a crash, from what the log of their mirror says.</summary>
internal sealed class MirrorCommand : Command
{
    internal override string Name => "mirror";

    internal override string Summary => "make an image equal to another, the first time or again after a crash";

    internal override string Operands => "SOURCE [FMT:]DEST";

    internal override (int Minimum, int Maximum) OperandCount => (2, 2);

    internal override IReadOnlyList<Option> Options => [CommonOptions.Format, CommonOptions.PassphraseFile, CommonOptions.Progress, CommonOptions.Quiet];

    internal override string Example => "blk mirror -f qcow2 disk.qcow2 raw:copy.raw";

    internal override string Notes =>
        $$"""
        DEST exists and is at least as long as SOURCE. DEST{{FilterOpener.MirrorLogSuffix}} says in which regions the two may differ; without it, or when it belongs to others,
        everything is copied. Interrupted, the same command goes on. Write a colon or backslash in the name of DEST with a backslash before it.
        SOURCE is opened for writing as DEST is, so that nobody changes it meanwhile: the disk of a running guest is refused as in use.

        Where a command reads an image (info, map, compare, convert, pull) it also takes blkmirror:SOURCE:[FMT:]DEST, blkstream:FILE, blkverify:REFERENCE:FILE,
        throttle:LIMITS:FILE (bps-total=10M,iops-read=100) and blkdebug:RULES:FILE (read,first=3,once,error=io), which may be nested.
        """;

    internal override async Task<int> RunAsync(ParsedArguments arguments, CommandContext context)
    {
        (string source, string destination) = (arguments.Operands[0], arguments.Operands[1]);
        string name = $"blkmirror:{FilterName.Escape(source)}:{destination}";
        ImageOpenOptions options = new ImageOpenOptions { Access = NodeAccess.ReadWrite, Policy = context.PolicyFor(name) }
            .WithFormat(arguments.Get(CommonOptions.Format));
        var mirror = (MirrorNode)await context.OpenAsync(name, options, new MirrorOptions { Sync = MirrorSync.Later }).ConfigureAwait(false);
        await using (mirror.ConfigureAwait(false))
        {
            long differing = mirror.Status.DifferingBytes;
            using (ProgressLine progress = context.ShowProgress())
            {
                await mirror.RepairAsync(progress, context.Console.Interrupted).ConfigureAwait(false);
            }

            context.Say(
                differing == 0
                    ? $"{source} and {mirror.Destination.Path} were equal already."
                    : $"Copied {ByteSize.Format(differing)} that could differ. {source} and {mirror.Destination.Path} are equal now.");
        }

        return ExitCode.Success;
    }
}
