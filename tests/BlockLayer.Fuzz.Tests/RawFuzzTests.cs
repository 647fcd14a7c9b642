using BlockLayer.TestKit;
using BlockLayer.TestKit.Hostile;
using Xunit;

namespace BlockLayer.Fuzz.Tests;

public sealed class RawFuzzTests
{
    // A guest's disk may hold anything, images of other formats above all.
    private static readonly SeedImage[] s_disks =
    [
        new("a disk", Pattern.Of(0, 20_000, writer: 1), [], ByteOrder.LittleEndian, 512),
        .. Qcow2Seeds.All.Take(1),
        .. QedSeeds.All.Take(1),
    ];

    [Fact]
    public void Whatever_is_in_a_raw_disk_it_is_a_raw_disk()
        => new FuzzRun("raw", s_disks, []).Check("RawFuzzTests.*", 20_000);
}
