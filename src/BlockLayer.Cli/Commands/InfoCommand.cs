using BlockLayer.Cli.CommandLine;
using BlockLayer.Cli.Terminal;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Primitives;

namespace BlockLayer.Cli.Commands;

/// <summary><c>blk info</c>: what an image says about itself. Never writes; opens other images only when it is to list the chain.</summary>
internal sealed class InfoCommand : Command
{
    private static readonly Option s_chain = Option.Flag(null, "backing-chain", "describe every image of the chain, newest first");

    internal override string Name => "info";

    internal override string Summary => "describe an image, or every image of a chain";

    internal override string Operands => "FILE";

    internal override (int Minimum, int Maximum) OperandCount => (1, 1);

    internal override IReadOnlyList<Option> Options => [CommonOptions.Format, CommonOptions.Output, s_chain, CommonOptions.ForceShare];

    internal override string Notes =>
        """
        Of a damaged image what can be read is shown; lines that begin with 'damaged:' ("damage" in JSON) name what is lacking. 'blk check' finds all damage.
        """;

    internal override string Example => "blk info --backing-chain current.qcow2";

    internal override async Task<int> RunAsync(ParsedArguments arguments, CommandContext context)
    {
        bool json = arguments.GetChoice(CommonOptions.Output, "human", "json") == "json";
        bool chain = arguments.Has(s_chain);
        string path = arguments.Operands[0];
        var options = new ImageOpenOptions
        {
            Policy = context.PolicyFor(path),
            Locking = context.Locking,
            DataFile = DataFileMode.Ignore,
            Backing = chain ? BackingMode.Open : BackingMode.Ignore,
        }.WithFormat(arguments.Get(CommonOptions.Format));
        BlockNode top = await context.OpenAsync(path, options).ConfigureAwait(false);
        await using (top.ConfigureAwait(false))
        {
            var images = new List<ImageInfo>();
            foreach (BlockNode image in BackingChain.Images(top))
            {
                images.Add(await ImageInfo.ReadAsync(image, context.Console.Interrupted).ConfigureAwait(false));
            }

            if (json)
            {
                InfoJson.Write(context.Out, images, chain);
            }
            else
            {
                WriteText(context, images);
            }
        }

        return ExitCode.Success;
    }

    private static void WriteText(CommandContext context, List<ImageInfo> images)
    {
        for (int i = 0; i < images.Count; i++)
        {
            if (i > 0)
            {
                context.Out.WriteLine();
            }

            WriteText(context, images[i]);
        }
    }

    private static void WriteText(CommandContext context, ImageInfo image)
    {
        TextWriter writer = context.Out;
        writer.WriteLine(PrintableText.Of($"image: {image.Path}"));
        writer.WriteLine($"file format: {image.Format}");
        writer.WriteLine($"virtual size: {ByteSize.Format(image.VirtualSize)} ({image.VirtualSize} bytes)");
        if (image.DiskSize is { } diskSize)
        {
            writer.WriteLine($"disk size: {ByteSize.Format(diskSize)}");
        }

        if (image.Details.IsEncrypted)
        {
            writer.WriteLine("encrypted: yes");
        }

        if (image.ClusterSize > 0)
        {
            writer.WriteLine($"cluster_size: {image.ClusterSize}");
        }

        if (image.Details.IsDirty)
        {
            writer.WriteLine("cleanly shut down: no");
        }

        if (image.Backing is { } backing)
        {
            writer.WriteLine(PrintableText.Of($"backing file: {backing.Name}{Meaning(backing.Name, image.BackingPath)}"));
            if (backing.Format is { } format)
            {
                writer.WriteLine(PrintableText.Of($"backing file format: {format}"));
            }
        }

        SnapshotText.Write(context, image.Snapshots);
        if (image.Details.Properties.Count > 0)
        {
            writer.WriteLine("Format specific information:");
            PropertyText.Write(writer, image.Details.Properties);
        }

        foreach (string damage in image.Details.Damage)
        {
            writer.WriteLine(PrintableText.Of($"damaged: {damage}"));
        }
    }
    private static string Meaning(string name, string? path)
        => path is null ? " (a protocol name, which is not opened)"
            : path == name ? ""
            : $" (actual path: {path})";
}
