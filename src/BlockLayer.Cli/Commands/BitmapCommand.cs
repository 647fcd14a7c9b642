using BlockLayer.Cli.CommandLine;
using BlockLayer.Cli.Terminal;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Primitives;

namespace BlockLayer.Cli.Commands;

/// <summary><c>blk bitmap</c>: the dirty bitmaps that are stored with an image.</summary>
internal sealed class BitmapCommand : Command
{
    private static readonly Option s_granularity = Option.Value('g', "granularity", "SIZE", "add: bytes a bit stands for (a cluster, 4K to 64K)");
    private static readonly Option s_disabled = Option.Flag(null, "disabled", "add: do not mark writes in it yet");
    private static readonly Option s_sourceFile = Option.Value('b', "source-file", "FILE", "merge: the image that has SOURCE (the same one)");
    private static readonly Option s_sourceFormat = Option.Value('F', "source-format", "FMT", "merge: its format");

    internal override string Name => "bitmap";

    internal override string Summary => "list or change the dirty bitmaps of an image (qcow2)";

    internal override string Operands => "list|show|add|remove|clear|enable|disable|merge FILE [NAME [SOURCE]]";

    internal override (int Minimum, int Maximum) OperandCount => (2, 4);

    internal override int FileOperand => 1;

    internal override IReadOnlyList<Option> Options =>
    [
        CommonOptions.Format, s_granularity, s_disabled, s_sourceFile, s_sourceFormat, CommonOptions.Output, CommonOptions.ForceShare,
    ];

    internal override string Example => "blk bitmap add current.qcow2 since-monday";

    internal override string Notes =>
        """
          list FILE                 names, granularities and flags
          show FILE NAME            the parts of the disk that NAME shows as written
          add FILE NAME             from now on, writes are marked in NAME
          remove FILE NAME          also what a crash has made useless (flag in-use)
          clear FILE NAME           NAME shows nothing as written
          enable, disable           whether writes are marked in NAME
          merge FILE NAME SOURCE    NAME shows also what SOURCE shows
        """;

    internal override async Task<int> RunAsync(ParsedArguments arguments, CommandContext context)
    {
        string verb = arguments.Operands[0];
        int wanted = verb switch
        {
            "list" => 2,
            "show" or "add" or "remove" or "clear" or "enable" or "disable" => 3,
            "merge" => 4,
            _ => throw new UsageException($"there is no '{verb}'; it can list, show, add, remove, clear, enable, disable and merge."),
        };
        if (arguments.Operands.Count != wanted)
        {
            throw new UsageException($"{verb} takes {wanted - 1} {(wanted == 2 ? "operand" : "operands")} ({(wanted == 2 ? "FILE" : wanted == 3 ? "FILE NAME" : "FILE NAME SOURCE")}), not {arguments.Operands.Count - 1}.");
        }

        bool reads = verb is "list" or "show";
        string path = arguments.Operands[1];
        BlockNode image = await OpenAsync(context, path, arguments.Get(CommonOptions.Format), reads ? NodeAccess.ReadOnly : NodeAccess.ReadWrite).ConfigureAwait(false);
        await using (image.ConfigureAwait(false))
        {
            bool json = arguments.GetChoice(CommonOptions.Output, "human", "json") == "json";
            await (verb switch
            {
                "list" => ListAsync(context, image, json),
                "show" => ShowAsync(context, image, arguments.Operands[2], json),
                "merge" => MergeAsync(arguments, context, image),
                _ => ChangeAsync(verb, arguments, image).AsTask(),
            }).ConfigureAwait(false);
        }

        return ExitCode.Success;
    }

    private static async ValueTask<BlockNode> OpenAsync(CommandContext context, string path, string? format, NodeAccess access)
    {
        var options = new ImageOpenOptions
        {
            Format = format,
            Access = access,
            Backing = BackingMode.Ignore,
            Locking = access == NodeAccess.ReadOnly ? context.Locking : ImageLocking.Take,
        };
        return await context.Opener.OpenAsync(path, options).ConfigureAwait(false);
    }

    private static ValueTask ChangeAsync(string verb, ParsedArguments arguments, BlockNode image)
    {
        string name = arguments.Operands[2];
        switch (verb)
        {
            case "add":
                BitmapState state = arguments.Has(s_disabled) ? BitmapState.Disabled : BitmapState.Enabled;
                long? granularity = arguments.GetSize(s_granularity);
                try
                {
                    return ImageBitmaps.AddAsync(image, name, new NewBitmap { Granularity = granularity, State = state });
                }
                catch (ArgumentException error)
                {
                    throw new UsageException(error);
                }

            case "remove":
                return ImageBitmaps.RemoveAsync(image, name);
            case "clear":
                return ImageBitmaps.ClearAsync(image, name);
            case "enable":
                return ImageBitmaps.EnableAsync(image, name);
            default:
                return ImageBitmaps.DisableAsync(image, name);
        }
    }

    private static async Task MergeAsync(ParsedArguments arguments, CommandContext context, BlockNode image)
    {
        string target = arguments.Operands[2];
        string source = arguments.Operands[3];
        if (arguments.Get(s_sourceFile) is not { } sourceFile)
        {
            await ImageBitmaps.MergeAsync(image, target, source).ConfigureAwait(false);
            return;
        }

        BlockNode other = await OpenAsync(context, sourceFile, arguments.Get(s_sourceFormat), NodeAccess.ReadOnly).ConfigureAwait(false);
        await using (other.ConfigureAwait(false))
        {
            await ImageBitmaps.MergeAsync(image, target, source, other).ConfigureAwait(false);
        }
    }

    private static Task ListAsync(CommandContext context, BlockNode image, bool json)
    {
        IReadOnlyList<ImageBitmap> bitmaps = ImageBitmaps.List(image);
        if (json)
        {
            JsonText.Write(context.Out, writer => BitmapJson.Write(writer, bitmaps));
            return Task.CompletedTask;
        }

        context.Out.WriteLine($"{"Granularity",-13}{"Flags",-14}Name");
        foreach (ImageBitmap bitmap in bitmaps)
        {
            string problem = bitmap.Problem is { } text ? $" ({text})" : "";
            context.Out.WriteLine($"{ByteSize.Format(bitmap.Granularity),-13}{string.Join(',', BitmapJson.Flags(bitmap)),-14}{PrintableText.Of(bitmap.Name + problem)}");
        }

        return Task.CompletedTask;
    }

    private static async Task ShowAsync(CommandContext context, BlockNode image, string name, bool json)
    {
        IAsyncEnumerable<ByteRange> ranges = ImageBitmaps.ReadAsync(image, name, context.Console.Interrupted);
        string opening = "[";
        if (!json)
        {
            context.Out.WriteLine($"{"Offset",-16}Length");
        }

        await foreach (ByteRange range in ranges.ConfigureAwait(false))
        {
            if (json)
            {
                context.Out.Write($"{opening}{{ \"start\": {range.Offset}, \"length\": {range.Length}, \"dirty\": true}}");
                opening = ",\n";
            }
            else
            {
                context.Out.WriteLine($"{$"0x{range.Offset:x}",-16}0x{range.Length:x}");
            }
        }

        if (json)
        {
            context.Out.WriteLine(opening == "[" ? "[]" : "]");
        }
    }
}
