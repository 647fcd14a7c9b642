using BlockLayer.Cli.CommandLine;
using BlockLayer.Graph;
using BlockLayer.Images;

namespace BlockLayer.Cli.Commands;

/// <summary><c>blk amend</c>: other values of options that an image was created with.</summary>
internal sealed class AmendCommand : Command
{
    private static readonly Option s_options = Option.Value('o', "options", "LIST", "what to change: name=value,... (may be repeated)");

    internal override string Name => "amend";

    internal override string Summary => "change options that an image was created with (qcow2)";

    internal override string Operands => "FILE";

    internal override (int Minimum, int Maximum) OperandCount => (1, 1);

    internal override IReadOnlyList<Option> Options => [CommonOptions.Format, s_options, CommonOptions.Quiet];

    internal override string Example => "blk amend -o compat=1.1,refcount_bits=8 disk.qcow2";

    internal override string Notes =>
        "qcow2 has compat (0.10 or 1.1), refcount_bits and lazy_refcounts. Each is changed in one step: interrupted, it is as before or as asked for.";

    internal override async Task<int> RunAsync(ParsedArguments arguments, CommandContext context)
    {
        string path = arguments.Operands[0];
        Dictionary<string, string> changes = CreateOptionList.Parse("-o", arguments.GetAll(s_options));
        if (changes.Count == 0)
        {
            throw new UsageException("it needs what to change: -o name=value.");
        }

        // What shows through where nothing is allocated does not change, so the backing file is not needed.
        ImageOpenOptions options = new ImageOpenOptions { Access = NodeAccess.ReadWrite, Backing = BackingMode.Ignore }.WithFormat(arguments.Get(CommonOptions.Format));
        BlockNode image = await context.Opener.OpenAsync(path, options).ConfigureAwait(false);
        await using (image.ConfigureAwait(false))
        {
            try
            {
                await ImageAmender.AmendAsync(image, changes, context.Console.Interrupted).ConfigureAwait(false);
            }
            catch (ArgumentException error)
            {
                throw new UsageException(error);
            }

            context.Say($"{path} has {string.Join(", ", changes.Select(static change => $"{change.Key}={change.Value}"))}.");
        }

        return ExitCode.Success;
    }
}
