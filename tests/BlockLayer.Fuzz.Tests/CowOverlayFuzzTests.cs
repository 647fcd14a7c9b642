using BlockLayer.TestKit.Hostile;
using Xunit;

namespace BlockLayer.Fuzz.Tests;

public sealed class CowOverlayFuzzTests
{
    [Fact]
    public void Whatever_is_in_an_add_cow_file_it_is_used_or_refused_at_a_bounded_price()
        => new FuzzRun("add-cow", CowOverlaySeeds.All, new byte[CowOverlaySeeds.Length]).Check("CowOverlayFuzzTests.*", 20_000);
}
