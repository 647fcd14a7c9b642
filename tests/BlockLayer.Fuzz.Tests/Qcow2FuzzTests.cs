using BlockLayer.TestKit.Hostile;
using Xunit;

namespace BlockLayer.Fuzz.Tests;

public sealed class Qcow2FuzzTests(ITestOutputHelper output)
{
    [Fact]
    public void Whatever_is_in_a_qcow2_image_it_is_used_or_refused_at_a_bounded_price()
        => new FuzzRun("qcow2", Qcow2Seeds.All, [], output).Check("Qcow2FuzzTests.*", 20_000);
}
