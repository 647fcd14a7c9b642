using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Architecture;

/// <summary>
/// What the README files show as C# is code that a test compiles and runs: there it stands, word for word, between two comments. So an example cannot become wrong while the tests pass.
/// </summary>
public class ReadmeExampleTests
{
    private const string Begin = "// README begins";
    private const string End = "// README ends";

    [Fact]
    public void Every_example_is_the_code_of_a_test()
    {
        string[] tested = [.. Files("*.cs", "tests").SelectMany(Marked)];
        string[] shown = [.. Files("README.md", "", "src", "bench").SelectMany(Examples)];
        Assert.Equal(8, shown.Length);
        Assert.All(shown, example => Assert.Contains(example, tested));
        Assert.All(tested, example => Assert.Contains(example, shown));
    }

    private static IEnumerable<string> Files(string pattern, params string[] folders)
        => folders.SelectMany(folder => Directory.EnumerateFiles(
            Path.Combine(SourceTree.Root, folder), pattern, folder.Length == 0 ? SearchOption.TopDirectoryOnly : SearchOption.AllDirectories));

    private static IEnumerable<string> Examples(string readme)
        => File.ReadAllText(readme).ReplaceLineEndings("\n").Split("```csharp\n").Skip(1)
            .Select(text => text[..text.IndexOf("\n```", StringComparison.Ordinal)])
            .Select(text => text.StartsWith("// using ", StringComparison.Ordinal) ? text[(text.IndexOf('\n', StringComparison.Ordinal) + 1)..] : text);

    private static IEnumerable<string> Marked(string source)
    {
        List<string>? example = null;
        int indent = 0;
        foreach (string line in File.ReadLines(source))
        {
            switch (line.Trim())
            {
                case Begin:
                    (example, indent) = ([], line.Length - line.TrimStart().Length);
                    break;
                case End:
                    yield return string.Join('\n', example!);
                    example = null;
                    break;
                default:
                    example?.Add(line.Length > indent ? line[indent..] : line.Trim());
                    break;
            }
        }
    }
}
