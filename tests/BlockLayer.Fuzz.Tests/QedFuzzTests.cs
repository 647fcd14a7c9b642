using BlockLayer.TestKit.Hostile;
using Xunit;

namespace BlockLayer.Fuzz.Tests;

public sealed class QedFuzzTests
{
    [Fact]
    public void Whatever_is_in_a_QED_image_it_is_used_or_refused_at_a_bounded_price()
        => new FuzzRun("qed", QedSeeds.All, []).Check("QedFuzzTests.*", 20_000);
}
