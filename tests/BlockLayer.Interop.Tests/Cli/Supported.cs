using BlockLayer.TestKit;

namespace BlockLayer.Interop.Tests.Cli;

/// <summary>What this library does with QEMU's images.</summary>
internal static class Supported
{
    private static readonly string[] s_unreadFeatures = ["extended L2", "external data file"];

    internal static bool Reads(GoldenImage image)
        => !s_unreadFeatures.Any(feature => image.Features.Contains(feature, StringComparison.Ordinal));

    internal static bool Checks(string format) => format != "raw";
}
