using BlockLayer.Cli.CommandLine;
using BlockLayer.Cli.Commands;

namespace BlockLayer.Cli;

/// <summary>The texts of <c>--help</c>.</summary>
internal static class HelpText
{
    internal static void WriteOverview(TextWriter writer)
    {
        writer.WriteLine("blk: disk images and backing chains, without a hypervisor.");
        writer.WriteLine();
        writer.WriteLine("usage: blk COMMAND [OPTIONS] ...");
        writer.WriteLine();
        foreach (Command command in BlkProgram.Commands)
        {
            writer.WriteLine($"  {command.Name,-9}{command.Summary}");
        }

        writer.WriteLine(
            """

              help CMD  what a command takes, with an example
              --version

            Options have qemu-img's letters where qemu-img has them. Sizes are bytes or have a unit, in powers of 1024: 64K, 1.5G.
            A raw disk is never recognised, because its guest could make it look like something else: say -f raw.
            Backing files are opened beside the image, beside files you name, and under --allow DIR; with --trust, anywhere.

            Exit codes:
              0    done; compare: equal; check: clean
              1    failed, or wrong use; compare: different
              2    compare: failed (4: while reading); check: corrupt; inspect: damaged
              3    check: space is lost, nothing else
              4    inspect: no image
              63   check: the format has nothing to check; inspect: not implemented
              75   somebody else uses the image; try again later
              77   an image refers to a file that was not allowed; inspect: to other files
              130  interrupted

            Example: blk create -f qcow2 -b template.qcow2 -F qcow2 current.qcow2
            """);
    }

    internal static void Write(Command command, TextWriter writer)
    {
        writer.WriteLine($"blk {command.Name}: {command.Summary}");
        writer.WriteLine();
        writer.WriteLine($"usage: blk {command.Name} [OPTIONS] {command.Operands}".TrimEnd());
        writer.WriteLine();
        Option[] options = [.. command.Options, .. CommonOptions.Everywhere];
        int width = options.Max(option => option.Synopsis.Length) + 2;
        foreach (Option option in options)
        {
            writer.WriteLine($"  {option.Synopsis.PadRight(width)}{option.Help}");
        }

        if (command.Notes.Length > 0)
        {
            writer.WriteLine();
            writer.WriteLine(command.Notes);
        }

        writer.WriteLine();
        writer.WriteLine($"Example: {command.Example}");
    }
}
