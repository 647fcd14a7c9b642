using System.Reflection;
using BlockLayer.Graph;
using BlockLayer.Libvirt;
using BlockLayer.Simulation;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Architecture;

/// <summary>The public surface is a text beside this test: changing it is a visible act.</summary>
public class PublicApiTests
{
    private const string Rewrite = "BLK_WRITE_PUBLIC_API";

    public static TheoryData<Assembly> Libraries => [typeof(BlockNode).Assembly, typeof(SimulationScheduler).Assembly, typeof(Domain).Assembly];

    [Theory]
    [MemberData(nameof(Libraries), DisableDiscoveryEnumeration = true)]
    public void The_public_surface_is_what_its_text_says(Assembly library)
    {
        string name = $"PublicApi.{library.GetName().Name}.txt";
        string path = Path.Combine(SourceTree.Root, "tests", "BlockLayer.Tests", "Architecture", name);
        string found = PublicApi.Describe(library);
        if (Environment.GetEnvironmentVariable(Rewrite) == "1")
        {
            File.WriteAllText(path, found);
            return;
        }

        string[] written = File.Exists(path) ? File.ReadAllLines(path) : [];
        string[] now = found.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        string differences = string.Join('\n', written.Except(now).Select(line => $"- {line}").Concat(now.Except(written).Select(line => $"+ {line}")));
        Assert.True(
            written.SequenceEqual(now),
            $"{name} is not the public surface any more. If that is meant: {Rewrite}=1 bash tests/run.sh -class '*PublicApiTests'\n{differences}");
    }
}
