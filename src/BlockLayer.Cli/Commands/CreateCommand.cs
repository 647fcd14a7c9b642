using BlockLayer.Cli.CommandLine;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Primitives;

namespace BlockLayer.Cli.Commands;

/// <summary><c>blk create</c>: an empty image, or an overlay on a backing file.</summary>
internal sealed class CreateCommand : Command
{
    private static readonly Option s_format = Option.Value('f', "format", "FMT", "format of the new image: raw (default), qcow2, qed or add-cow");
    private static readonly Option s_backing = Option.Value(
        'b', "backing", "FILE", "make it an overlay on FILE (a relative name counts from the new image's directory)");
    private static readonly Option s_backingFormat = Option.Value('F', "backing-format", "FMT", "format of the backing file; needed with -b");
    private static readonly Option s_unsafe = Option.Flag('u', "unsafe", "do not look at the backing file; SIZE is needed then");
    private static readonly Option s_options = Option.Value('o', "options", "LIST", "options of the format: name=value,... such as cluster_size=64k");

    internal override string Name => "create";

    internal override string Summary => "create an empty image, or an overlay on a backing file";

    internal override string Operands => "FILE [SIZE]";

    internal override (int Minimum, int Maximum) OperandCount => (1, 2);

    internal override IReadOnlyList<Option> Options => [s_format, s_backing, s_backingFormat, s_unsafe, s_options, CommonOptions.PassphraseFile, CommonOptions.Quiet];

    internal override string Example => "blk create -f qcow2 -b template.qcow2 -F qcow2 current.qcow2";

    internal override string Notes =>
        """
        An existing FILE is replaced, as qemu-img does, unless somebody uses it. Without SIZE an overlay is as long as its backing file.
        An encrypted image: blk create -f qcow2 -o encrypt.format=luks --passphrase-file secret.txt disk.qcow2 10G
        """;

    internal override async Task<int> RunAsync(ParsedArguments arguments, CommandContext context)
    {
        string path = arguments.Operands[0];
        BackingReference? backing = BackingOf(arguments);
        bool looksAtBacking = backing is not null && !arguments.Has(s_unsafe);
        if (arguments.Operands.Count < 2 && !looksAtBacking)
        {
            throw new UsageException("SIZE is needed, such as 10G.");
        }

        var image = new NewImage
        {
            Format = arguments.Get(s_format) ?? "raw",
            Length = arguments.Operands.Count == 2 ? ParsedArguments.ParseSize(arguments.Operands[1], "SIZE") : null,
            Backing = backing,
            Options = CreateOptionList.Parse(arguments.GetAll(s_options)),
            Secrets = context.Secrets,
            Verification = looksAtBacking ? BackingVerification.Open : BackingVerification.None,
        };
        if (arguments.Has(CommonOptions.PassphraseFile) && !image.Options.ContainsKey("encrypt.format") && !image.Options.ContainsKey("encryption"))
        {
            throw new UsageException("--passphrase-file alone encrypts nothing; say how: -o encrypt.format=luks.");
        }

        OpenPolicy policy = context.PolicyFor([path, .. backing is null ? [] : new[] { backing.Name }, .. CreateOptionList.FilesIn(image.Options)]);
        ImageCreateOptions created;
        try
        {
            created = await new ImageCreator(CommandContext.Formats, context.Environment).CreateAsync(path, image, policy, context.Console.Interrupted).ConfigureAwait(false);
        }
        catch (ArgumentException error)
        {
            throw new UsageException(error);
        }

        string over = backing is null ? "" : $", an overlay on {backing}";
        context.Say($"Created {path}: {image.Format}, {ByteSize.Format(created.Length)} ({created.Length} bytes){over}.");
        return ExitCode.Success;
    }

    private static BackingReference? BackingOf(ParsedArguments arguments)
    {
        if (arguments.Get(s_backing) is not { } name)
        {
            return arguments.Has(s_backingFormat) ? throw new UsageException("-F names the format of a backing file; give the file with -b.") : null;
        }

        // Without the format recorded, whoever writes to the backing file later could choose how it is read.
        string format = arguments.Get(s_backingFormat) ?? throw new UsageException("-b needs the format of the backing file: -F raw, -F qcow2 or -F qed.");
        return new BackingReference(name, format);
    }
}
