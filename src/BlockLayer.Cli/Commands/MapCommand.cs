using BlockLayer.Cli.CommandLine;
using BlockLayer.Cli.Terminal;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;

namespace BlockLayer.Cli.Commands;

/// <summary><c>blk map</c>: where the bytes of a virtual disk are.</summary>
internal sealed class MapCommand : Command
{
    private static readonly Option s_start = Option.Value('s', "start-offset", "OFFSET", "begin at this guest offset");
    private static readonly Option s_length = Option.Value('l', "max-length", "LENGTH", "show at most this many bytes");

    /// <summary>Each part of a table is asked for once, so what is kept of it is of no use.</summary>
    private const long TablesForOnePass = 1 << 20;

    internal override string Name => "map";

    internal override string Summary => "list where the bytes of a virtual disk are, run by run";

    internal override string Operands => "FILE";

    internal override (int Minimum, int Maximum) OperandCount => (1, 1);

    internal override IReadOnlyList<Option> Options => [CommonOptions.Format, CommonOptions.Snapshot, CommonOptions.Output, s_start, s_length, CommonOptions.ForceShare];

    internal override string Example => "blk map --output json current.qcow2";

    internal override string Notes =>
        "The table lists stored data only; json lists every run: depth counts backing files, present says that an image decides it.";

    internal override async Task<int> RunAsync(ParsedArguments arguments, CommandContext context)
    {
        bool json = arguments.GetChoice(CommonOptions.Output, "human", "json") == "json";
        string path = arguments.Operands[0];
        long start = arguments.GetSize(s_start) ?? 0;
        long length = arguments.GetSize(s_length) ?? long.MaxValue;
        ImageOpenOptions options = new ImageOpenOptions
        {
            Snapshot = arguments.Get(CommonOptions.Snapshot),
            Policy = context.PolicyFor(path),
            Locking = context.Locking,
            TableCacheLength = TablesForOnePass,
        }.WithFormat(arguments.Get(CommonOptions.Format));
        BlockNode top = await context.OpenAsync(path, options).ConfigureAwait(false);
        await using (top.ConfigureAwait(false))
        {
            IAsyncEnumerable<MapExtent> map = ImageMapper.MapAsync(top, Math.Min(start, top.Length), length, new SmallHeap(), context.Console.Interrupted);
            await (json ? WriteJsonAsync(context.Out, map) : WriteTableAsync(context.Out, map, path)).ConfigureAwait(false);
        }

        return ExitCode.Success;
    }

    private static async Task WriteTableAsync(TextWriter writer, IAsyncEnumerable<MapExtent> map, string path)
    {
        writer.WriteLine($"{"Offset",-16}{"Length",-16}{"Mapped to",-16}File");
        await foreach (MapExtent extent in map.ConfigureAwait(false))
        {
            if (!extent.IsData || extent.IsZero)
            {
                continue;
            }

            if (extent.HostOffset is not { } hostOffset)
            {
                throw new BlockLayerException(
                    BlockErrorKind.Unsupported,
                    $"The run at {extent.Start} is compressed, so it has no place that a table could show; use --output json.")
                {
                    Path = path,
                };
            }

            writer.WriteLine($"{Hex(extent.Start),-16}{Hex(extent.Length),-16}{Hex(hostOffset),-16}{PrintableText.Of(extent.Path ?? "")}");
        }
    }

    private static async Task WriteJsonAsync(TextWriter writer, IAsyncEnumerable<MapExtent> map)
    {
        string opening = "[";
        await foreach (MapExtent extent in map.ConfigureAwait(false))
        {
            string offset = extent.HostOffset is { } hostOffset ? $", \"offset\": {hostOffset}" : "";
            writer.Write(
                $"{opening}{{ \"start\": {extent.Start}, \"length\": {extent.Length}, \"depth\": {extent.Depth}, \"present\": {Word(extent.IsPresent)}, "
                + $"\"zero\": {Word(extent.IsZero)}, \"data\": {Word(extent.IsData)}, \"compressed\": {Word(extent.IsCompressed)}{offset}}}");
            opening = ",\n";
        }

        writer.WriteLine(opening == "[" ? "[]" : "]");
    }

    private static string Word(bool value) => value ? "true" : "false";

    private static string Hex(long value) => value == 0 ? "0" : $"0x{value:x}";
}
