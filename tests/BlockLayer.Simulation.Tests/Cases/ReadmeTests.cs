using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Cases;

/// <summary>README.md shows a case of these tests, and names them all.</summary>
public class ReadmeTests
{
    private const string Begin = "// README begins";
    private const string End = "// README ends";

    private static readonly string s_readme = File.ReadAllText(Path.Combine(SourceTree.Root, "README.md")).ReplaceLineEndings("\n");

    [Fact]
    public void The_readme_shows_the_case_as_it_is_tested()
    {
        string[] source = File.ReadAllLines(Path.Combine(SourceTree.Root, "tests/BlockLayer.Simulation.Tests/Cases/PullCases.cs"));
        IEnumerable<string> example = source.SkipWhile(line => line.Trim() != Begin).Skip(1).TakeWhile(line => line.Trim() != End);
        Assert.Contains(string.Join('\n', example.Select(line => line.Length > 8 ? line[8..] : line)), s_readme, StringComparison.Ordinal);
    }

    [Fact]
    public void The_readme_names_every_case()
    {
        IEnumerable<string> cases = typeof(ReadmeTests).Assembly.GetTypes()
            .Where(type => type.Namespace == typeof(ReadmeTests).Namespace && type.Name.EndsWith("Cases", StringComparison.Ordinal))
            .SelectMany(type => type.GetMethods())
            .Where(method => method.GetCustomAttributes(typeof(FactAttribute), inherit: true).Length > 0)
            .Select(method => $"`{method.DeclaringType!.Name}.{method.Name}`");
        Assert.All(cases, name => Assert.Contains(name, s_readme, StringComparison.Ordinal));
    }
}
