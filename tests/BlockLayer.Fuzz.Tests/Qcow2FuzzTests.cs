using BlockLayer.TestKit.Hostile;
using Xunit;

namespace BlockLayer.Fuzz.Tests;

public sealed class Qcow2FuzzTests
{
    [Fact]
    public void Whatever_is_in_a_qcow2_image_it_is_used_or_refused_at_a_bounded_price()
        => new FuzzRun("qcow2", Qcow2Seeds.All, Qcow2Seeds.DataFile).Check("Qcow2FuzzTests.Whatever_is_in_a_qcow2*", 20_000);

    [Fact]
    public void Whatever_is_in_an_encrypted_image_whose_passphrase_is_known_it_is_used_or_refused_at_a_bounded_price()
        => new FuzzRun("qcow2", Qcow2Seeds.Luks, []).Check("Qcow2FuzzTests.Whatever_is_in_an_encrypted*", 200);
}
