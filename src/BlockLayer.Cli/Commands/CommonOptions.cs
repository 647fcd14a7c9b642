using BlockLayer.Cli.CommandLine;

namespace BlockLayer.Cli.Commands;

/// <summary>Options that several commands share, with one spelling and one meaning.</summary>
internal static class CommonOptions
{
    internal static Option Help { get; } = Option.Flag('h', "help", "show this text");

    internal static Option Allow { get; } = Option.Value(null, "allow", "DIR", "allow backing files in DIR and below (may be repeated)");

    internal static Option Trust { get; } = Option.Flag(null, "trust", "open any backing file and guess formats, as qemu-img does");

    internal static Option PassphraseFile { get; } = Option.Value(
        null, "passphrase-file", "[IMAGE=]FILE", "open encrypted images, or the one named, with the content of FILE, every byte of it (may be repeated)");

    internal static Option Format { get; } = Option.Value('f', "format", "FMT", "format of the image: raw, qcow2, qed or add-cow; raw has to be said, and may be a window of the file: raw,offset=1M,size=8M");

    internal static Option ForceShare { get; } = Option.Flag('U', "force-share", "open it although somebody writes it; what is shown may be half of a change");

    internal static Option Output { get; } = Option.Value(null, "output", "human|json", "how the result is printed");

    internal static Option Snapshot { get; } = Option.Value(null, "snapshot", "NAME", "look at this internal snapshot (id or name) instead of the present state");

    internal static Option DryRun { get; } = Option.Flag(null, "dry-run", "only tell what would be copied, and which files would be changed, invalid or not needed any more");

    internal static Option Progress { get; } = Option.Flag('p', "progress", "show progress even when standard error is no terminal");

    internal static Option Quiet { get; } = Option.Flag('q', "quiet", "print nothing but errors");

    /// <summary>Those that every command has.</summary>
    internal static IReadOnlyList<Option> Everywhere { get; } = [Allow, Trust, Help];
}
