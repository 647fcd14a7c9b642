using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Cases;

/// <summary>README.md names all of these cases.</summary>
public class ReadmeTests
{
    private static readonly string s_readme = File.ReadAllText(Path.Combine(SourceTree.Root, "README.md")).ReplaceLineEndings("\n");

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
