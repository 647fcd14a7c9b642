using BlockLayer.TestKit;

namespace BlockLayer.Interop.Tests.Cli;

/// <summary>What this library does with QEMU's images.</summary>
internal static class Supported
{
    // qemu-img shows the room that an unallocated subcluster has in the file; to us it is not allocated, and that is all.
    internal static bool Maps(GoldenImage image) => !image.Features.Contains("extended L2", StringComparison.Ordinal);

    internal static bool Checks(string format) => format != "raw";
}
