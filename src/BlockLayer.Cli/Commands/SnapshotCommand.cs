using BlockLayer.Cli.CommandLine;
using BlockLayer.Graph;
using BlockLayer.Images;

namespace BlockLayer.Cli.Commands;

/// <summary><c>blk snapshot</c>: internal snapshots, the states of its disk that an image file keeps.</summary>
internal sealed class SnapshotCommand : Command
{
    internal override string Name => "snapshot";

    internal override string Summary => "list, create, apply or delete internal snapshots (qcow2)";

    internal override string Operands => "list|create|apply|delete FILE [NAME]";

    internal override (int Minimum, int Maximum) OperandCount => (2, 3);

    internal override int FileOperand => 1;

    internal override IReadOnlyList<Option> Options => [CommonOptions.Format, CommonOptions.Output, CommonOptions.ForceShare, CommonOptions.Quiet];

    internal override string Example => "blk snapshot create disk.qcow2 before-upgrade";

    internal override string Notes =>
        """
        NAME is an id or, where no snapshot has that id, a name; names need not be unique, and then the first one is meant.
        apply makes the disk what it was: what was written since is lost, unless another snapshot keeps it. A snapshot is read with
        'blk convert -l NAME' and 'blk map --snapshot NAME'. --output and -U are for list.
        """;

    internal override async Task<int> RunAsync(ParsedArguments arguments, CommandContext context)
    {
        string verb = arguments.Operands[0];
        string path = arguments.Operands[1];
        string? name = arguments.Operands.Count == 3 ? arguments.Operands[2] : null;
        if (verb is not ("list" or "create" or "apply" or "delete"))
        {
            throw new UsageException($"there is no '{verb}'; it has list, create, apply and delete.");
        }

        if (verb == "list" != name is null)
        {
            throw new UsageException(name is null ? $"{verb} needs the NAME of a snapshot." : "list takes no NAME; it lists all.");
        }

        bool json = arguments.GetChoice(CommonOptions.Output, "human", "json") == "json";
        var options = new ImageOpenOptions
        {
            Access = verb == "list" ? NodeAccess.ReadOnly : NodeAccess.ReadWrite,
            Backing = BackingMode.Ignore,
            Locking = verb == "list" ? context.Locking : ImageLocking.Take,
        };
        BlockNode image = await context.Opener.OpenAsync(path, options.WithFormat(arguments.Get(CommonOptions.Format))).ConfigureAwait(false);
        await using (image.ConfigureAwait(false))
        {
            await RunAsync(context, image, verb, name, json).ConfigureAwait(false);
        }

        return ExitCode.Success;
    }

    private static async ValueTask RunAsync(CommandContext context, BlockNode image, string verb, string? name, bool json)
    {
        CancellationToken interrupted = context.Console.Interrupted;
        switch (verb)
        {
            case "list":
                IReadOnlyList<SnapshotInfo> snapshots = await ImageSnapshots.ListAsync(image, interrupted).ConfigureAwait(false);
                if (json)
                {
                    JsonText.Write(context.Out, writer => SnapshotText.WriteJson(writer, snapshots));
                }
                else
                {
                    SnapshotText.Write(context, snapshots);
                }

                break;
            case "create":
                try
                {
                    SnapshotInfo made = await ImageSnapshots.CreateAsync(image, name!, interrupted).ConfigureAwait(false);
                    context.Say($"Created snapshot '{made.Name}' with id {made.Id}.");
                }
                catch (ArgumentException error)
                {
                    throw new UsageException(error);
                }

                break;
            case "apply":
                await ImageSnapshots.ApplyAsync(image, name!, interrupted).ConfigureAwait(false);
                context.Say($"The disk is what it was in snapshot '{name}'.");
                break;
            default:
                await ImageSnapshots.DeleteAsync(image, name!, interrupted).ConfigureAwait(false);
                context.Say($"Deleted snapshot '{name}'.");
                break;
        }
    }
}
