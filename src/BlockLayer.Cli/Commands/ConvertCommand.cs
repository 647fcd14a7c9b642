using BlockLayer.Cli.CommandLine;
using BlockLayer.Cli.Terminal;
using BlockLayer.Graph;
using BlockLayer.Images;

namespace BlockLayer.Cli.Commands;

/// <summary><c>blk convert</c>: the content of one image in another file and format.</summary>
internal sealed class ConvertCommand : Command
{
    private static readonly Option s_sourceFormat = Option.Value('f', "format", "FMT", "format of SOURCE; raw has to be said, and may be a window of the file: raw,offset=1M,size=8M");
    private static readonly Option s_targetFormat = Option.Value('O', "target-format", "FMT", "format of TARGET: raw (default), qcow2, qed or add-cow");
    private static readonly Option s_compress = Option.Flag('c', "compress", "compress the target (qcow2)");
    private static readonly Option s_options = Option.Value('o', "options", "LIST", "options of the target's format: name=value,...");
    private static readonly Option s_backing = Option.Value(
        'B', "backing", "FILE", "make TARGET an overlay on FILE, which has to read as SOURCE's own backing file does");
    private static readonly Option s_backingFormat = Option.Value('F', "backing-format", "FMT", "format of that backing file; needed with -B");
    private static readonly Option s_existing = Option.Flag('n', "no-create", "write into TARGET, which exists, instead of creating it");
    private static readonly Option s_sparse = Option.Value(
        'S', "sparse", "SIZE", "leave out zeroes of at least SIZE bytes in a row (default 4K); 0 stores everything");
    private static readonly Option s_workers = Option.Value('m', "workers", "N", "copy N pieces at once (1 to 16; default: twice the number of processors)");
    private static readonly Option s_snapshot = Option.Value('l', "snapshot", "NAME", "convert this internal snapshot (id or name) of SOURCE");
    private static readonly Option s_bitmaps = Option.Flag(null, "bitmaps", "copy the dirty bitmaps of SOURCE too (into qcow2)");
    private static readonly Option s_skipBroken = Option.Flag(null, "skip-broken-bitmaps", "with --bitmaps: leave out those that cannot be used, and say which");
    private static readonly Option s_unordered = Option.Flag('W', "unordered", "allow writes out of order; always allowed, taken for qemu-img's sake");

    internal override string Name => "convert";

    internal override string Summary => "copy an image into another file, format or compression";

    internal override string Operands => "SOURCE TARGET";

    internal override (int Minimum, int Maximum) OperandCount => (2, 2);

    internal override IReadOnlyList<Option> Options =>
    [
        s_sourceFormat, s_snapshot, s_targetFormat, s_compress, s_options, s_backing, s_backingFormat, s_existing, s_sparse, s_workers, s_unordered, s_bitmaps, s_skipBroken,
        CommonOptions.PassphraseFile, CommonOptions.Progress, CommonOptions.Quiet,
    ];

    internal override string Example => "blk convert -f raw -O qcow2 -c disk.raw disk.qcow2";

    internal override string Notes =>
        """
        An existing TARGET is replaced, as qemu-img does, unless somebody uses it. When the conversion fails, TARGET is removed; with -n it
        is left incomplete.
        """;

    internal override async Task<int> RunAsync(ParsedArguments arguments, CommandContext context)
    {
        (string source, string target) = (arguments.Operands[0], arguments.Operands[1]);
        BackingReference? backing = BackingOf(arguments);
        var image = new NewImage
        {
            Format = arguments.Get(s_targetFormat) ?? "raw",
            Backing = backing,
            Options = CreateOptionList.Parse(arguments.GetAll(s_options)),
        };
        ConvertOptions options = OptionsFrom(arguments, backing);
        ImageOpenOptions open = new ImageOpenOptions { Snapshot = arguments.Get(s_snapshot), Policy = context.PolicyFor(source) }
            .WithFormat(arguments.Get(s_sourceFormat));
        ConvertResult result;
        BlockNode from = await context.OpenAsync(source, open).ConfigureAwait(false);
        await using (from.ConfigureAwait(false))
        {
            OpenPolicy policy = context.PolicyFor([target, .. backing is null ? [] : new[] { backing.Name }, .. CreateOptionList.FilesIn(image.Options)]);
            var writer = new ImageWriter(CommandContext.Formats, context.Environment, policy) { Secrets = context.Secrets };
            using ProgressLine progress = context.ShowProgress();
            CancellationToken interrupted = context.Console.Interrupted;
            try
            {
                result = await (arguments.Has(s_existing)
                    ? writer.WriteExistingAsync(from, target, image.Format, options with { Target = TargetContent.Anything }, progress, interrupted)
                    : writer.WriteNewAsync(from, target, image, options, progress, interrupted)).ConfigureAwait(false);
            }
            catch (ArgumentException error)
            {
                throw new UsageException(error);
            }
        }

        foreach (string name in result.SkippedBitmaps)
        {
            context.Complain($"blk convert: bitmap '{name}' of {source} cannot be used and was left out.");
        }

        return ExitCode.Success;
    }

    private static ConvertOptions OptionsFrom(ParsedArguments arguments, BackingReference? backing)
    {
        long sparse = arguments.GetSize(s_sparse) ?? 4096;
        if (sparse is < 0 or > 1 << 20 || (sparse & (sparse - 1)) != 0)
        {
            throw new UsageException($"-S takes 0 or a power of two up to 1M, not {sparse}.");
        }

        if (arguments.Has(s_skipBroken) && !arguments.Has(s_bitmaps))
        {
            throw new UsageException("--skip-broken-bitmaps goes with --bitmaps.");
        }

        if (arguments.Has(s_snapshot) && arguments.Has(s_bitmaps))
        {
            throw new UsageException("--bitmaps does not go with -l: the bitmaps tell what was written to the disk of now, not to the snapshot.");
        }

        return new ConvertOptions
        {
            Bitmaps = !arguments.Has(s_bitmaps) ? ConvertBitmaps.None : arguments.Has(s_skipBroken) ? ConvertBitmaps.Usable : ConvertBitmaps.All,
            Encoding = arguments.Has(s_compress) ? ConvertEncoding.Compressed : ConvertEncoding.Plain,
            Depth = backing is null ? ConvertDepth.Chain : ConvertDepth.TopImage,
            Target = backing is null ? TargetContent.Zeroes : TargetContent.Anything,
            SparseSize = (int)sparse,
            Workers = arguments.GetNumber(s_workers, minimum: 1, maximum: 16),
        };
    }

    private static BackingReference? BackingOf(ParsedArguments arguments)
        => (arguments.Get(s_backing), arguments.Get(s_backingFormat)) switch
        {
            (null, null) => null,
            ({ } name, { } format) => new BackingReference(name, format),
            _ => throw new UsageException("-B needs the format of the backing file, -F; neither stands alone."),
        };
}
