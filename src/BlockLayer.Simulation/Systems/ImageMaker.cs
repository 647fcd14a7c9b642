using BlockLayer.Graph;
using BlockLayer.Images;

namespace BlockLayer.Simulation;

/// <summary>
/// What the images of a disk are like: clusters of all sizes but mostly small ones, old and new versions, data files, encryption, every format that can stand where it is needed.
/// </summary>
internal sealed class ImageMaker(SeededRandom random)
{
    private const string DataFile = "data_file";
    private const int Ordinary = 4; // of the kinds below, those that most images are of

    private static readonly Dictionary<string, string>[] s_qcow2 =
    [
        new() { ["cluster_size"] = "4096" },
        new() { ["cluster_size"] = "4096", ["compat"] = "0.10" },
        new() { ["cluster_size"] = "1024", ["refcount_bits"] = "8" },
        new() { ["cluster_size"] = "16384", ["extended_l2"] = "on" },
        new() { ["cluster_size"] = "512" },
        new() { ["cluster_size"] = "512", ["compat"] = "0.10" },
        new() { ["cluster_size"] = "65536" },
        new() { ["cluster_size"] = "2097152" },
        new() { ["cluster_size"] = "4096", ["refcount_bits"] = "1" },
        new() { ["cluster_size"] = "4096", [DataFile] = "" },
        new() { ["cluster_size"] = "16384", ["extended_l2"] = "on", [DataFile] = "" },
        new() { ["cluster_size"] = "4096", ["encryption"] = "on" },
        new() { ["cluster_size"] = "4096", ["encrypt.format"] = "luks", ["encrypt.cipher-alg"] = "aes-128", ["encrypt.iterations"] = "1000" },
    ];

    private static readonly Dictionary<string, string> s_qed = new() { ["cluster_size"] = "4096" };
    private static readonly Dictionary<string, string> s_none = [];

    /// <summary>The passphrase of all that are encrypted.</summary>
    internal static ImageSecrets Secrets { get; } = new(Passphrase.FromText("sixteen letters!"));

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
    /// <param name="path">The image's file; some have a second one beside it.</param>
    internal IReadOnlyDictionary<string, string> PickOptions(string format, string path) => format switch
    {
        "qcow2" => PickKind() is var kind && kind.ContainsKey(DataFile) ? new Dictionary<string, string>(kind) { [DataFile] = $"{path}.data" } : kind,
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
        => new() { Format = format, Length = length, Backing = backing, Options = PickOptions(format, path), Secrets = Secrets };

    private Dictionary<string, string> PickKind() => s_qcow2[random.Next(2) == 0 ? random.Next(Ordinary) : random.Next(s_qcow2.Length)];
}
