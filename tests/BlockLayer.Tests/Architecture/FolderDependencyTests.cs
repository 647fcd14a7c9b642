using System.Text.RegularExpressions;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Architecture;

/// <summary>Inside the core a folder uses only folders named before it; the other assemblies use the core, never the reverse.</summary>
public partial class FolderDependencyTests
{
    private static readonly string[] s_order =
        ["Primitives", "Errors", "Storage", "Requests", "Graph", "Formats", "Filters", "Jobs", "Images", "Simulation", "Libvirt", "Cli"];

    [Fact]
    public void A_folder_of_the_core_uses_only_folders_before_it()
    {
        string core = Path.Combine(SourceTree.Root, "src", "BlockLayer");
        var offences = new List<string>();
        int files = 0;
        foreach (string folder in s_order.Where(name => Directory.Exists(Path.Combine(core, name))))
        {
            foreach (string file in Directory.EnumerateFiles(Path.Combine(core, folder), "*.cs", SearchOption.AllDirectories))
            {
                files++;
                foreach (Match match in NamespaceUse().Matches(File.ReadAllText(file)))
                {
                    int used = Array.IndexOf(s_order, match.Groups[1].Value);
                    if (used > Array.IndexOf(s_order, folder))
                    {
                        offences.Add($"{Path.GetRelativePath(core, file)} uses {match.Value}");
                    }
                }
            }
        }

        Assert.True(files > 40, $"only {files} source files were found under {core}");
        Assert.Empty(offences);
    }

    [Fact]
    public void Every_folder_of_the_core_stands_in_the_order()
    {
        string core = Path.Combine(SourceTree.Root, "src", "BlockLayer");
        IEnumerable<string> folders = Directory.EnumerateDirectories(core).Select(path => Path.GetFileName(path)).Where(name => name is not ("bin" or "obj"));
        Assert.Empty(folders.Except(s_order));
    }

    [Fact]
    public void One_format_does_not_use_another()
    {
        string formats = Path.Combine(SourceTree.Root, "src", "BlockLayer", "Formats");
        var offences = new List<string>();
        foreach (string format in Directory.EnumerateDirectories(formats))
        {
            foreach (string file in Directory.EnumerateFiles(format, "*.cs", SearchOption.AllDirectories))
            {
                foreach (Match match in FormatUse().Matches(File.ReadAllText(file)))
                {
                    if (match.Groups[1].Value != Path.GetFileName(format))
                    {
                        offences.Add($"{Path.GetRelativePath(formats, file)} uses {match.Value}");
                    }
                }
            }
        }

        Assert.Empty(offences);
    }

    [GeneratedRegex(@"\bBlockLayer\.(Primitives|Errors|Storage|Requests|Graph|Formats|Filters|Jobs|Images|Simulation|Libvirt|Cli)\b")]
    private static partial Regex NamespaceUse();

    [GeneratedRegex(@"\bBlockLayer\.Formats\.(\w+)")]
    private static partial Regex FormatUse();
}
