using BlockLayer.Graph;
using BlockLayer.Images;

namespace BlockLayer.Simulation;

/// <summary>What the images of a disk are like: small clusters of several sizes, old and new versions, every format that can stand where it is needed.</summary>
internal sealed class ImageMaker(SeededRandom random)
{
    private static readonly Dictionary<string, string>[] s_qcow2 =
    [
        new() { ["cluster_size"] = "4096" },
        new() { ["cluster_size"] = "4096", ["compat"] = "0.10" },
        new() { ["cluster_size"] = "1024", ["refcount_bits"] = "8" },
        new() { ["cluster_size"] = "16384", ["extended_l2"] = "on" },
    ];

    private static readonly Dictionary<string, string> s_qed = new() { ["cluster_size"] = "4096" };
    private static readonly Dictionary<string, string> s_none = [];

    /// <summary>A format that can stand at the bottom, or on something.</summary>
    internal string PickFormat(bool bottom) => random.Next(8) switch
    {
        0 or 1 => "qed",
        2 or 3 when bottom => "raw",
        _ => "qcow2",
    };

    /// <summary>As <see cref="PickFormat"/>, and now and then add-cow, which QED cannot name.</summary>
    internal string PickOverlayFormat(string below) => random.Next(8) == 0 ? "add-cow" : below == "add-cow" ? "qcow2" : PickFormat(bottom: false);

    /// <summary>Create options of a format.</summary>
    /// <param name="format">The format.</param>
    /// <param name="path">The image's file; add-cow has a second one beside it.</param>
    internal IReadOnlyDictionary<string, string> PickOptions(string format, string path) => format switch
    {
        "qcow2" => s_qcow2[random.Next(s_qcow2.Length)],
        "qed" => s_qed,
        "add-cow" => new Dictionary<string, string> { ["image_file"] = $"{path[(path.LastIndexOf('/') + 1)..]}.raw" },
        _ => s_none,
    };

    /// <summary>A new image.</summary>
    /// <param name="format">Its format.</param>
    /// <param name="path">Its file.</param>
    /// <param name="length">Its length; null for that of the disk that it is made for.</param>
    /// <param name="backing">Its backing file, or null.</param>
    internal NewImage New(string format, string path, long? length, BackingReference? backing = null)
        => new() { Format = format, Length = length, Backing = backing, Options = PickOptions(format, path) };
}
