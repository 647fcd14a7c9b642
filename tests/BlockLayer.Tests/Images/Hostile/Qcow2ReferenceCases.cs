using BlockLayer.Errors;
using BlockLayer.Graph;
using static BlockLayer.Tests.Images.Hostile.Qcow2Bytes;
using static BlockLayer.TestKit.Hostile.ImageExercise;

namespace BlockLayer.Tests.Images.Hostile;

/// <summary>
/// Lines 7 and 8 of the corpus of qcow2: names of backing and data files. Formats are recorded, so that it is the name that denies; what takes links and devices
/// is in <see cref="Qcow2LinkCorpusTests"/>.
/// </summary>
internal static class Qcow2ReferenceCases
{
    private const BlockErrorKind Invalid = BlockErrorKind.InvalidFormat;
    private const BlockErrorKind Denied = BlockErrorKind.Denied;
    private const BlockErrorKind Missing = BlockErrorKind.NotFound;
    private const InspectionVerdict Refers = InspectionVerdict.ReferencesOtherFiles;
    private const string Json = "json:{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}";

    // Where there are no drives, a backslash is a character like others.
    private static readonly BlockErrorKind s_backslashes = OperatingSystem.IsWindows() ? Denied : Missing;

    internal static IEnumerable<Qcow2CorpusCase> All => [.. BackingNames, .. Chains, .. BackingFormats, .. DataFiles];

    private static IEnumerable<Qcow2CorpusCase> BackingNames =>
    [
        Backing("2.7 absolute", "/etc/passwd", Denied),
        Backing("2.7 upwards", "../etc/passwd", Denied),
        Backing("2.7 upwards by a detour", "below/../../etc/passwd", Denied),
        Backing("2.7 /dev/sda", "/dev/sda", Denied),
        Backing("2.7 /proc/self/fd/0", "/proc/self/fd/0", Denied),
        Backing("2.7 UNC", "\\\\host\\share\\base", s_backslashes),
        Backing("2.7 UNC with slashes", "//host/share/base", Denied),
        Backing("2.7 drive letter", "c:\\base", Denied),
        Backing("2.7 json:", Json, Denied),
        Backing("2.7 nbd:", "nbd:127.0.0.1:10809", Denied),
        Backing("2.7 nbd://", "nbd://host/export", Denied),
        Backing("2.7 file:", "file:base", Denied),
        Backing("2.7 fd:", "fd:3", Denied),
        Backing("2.7 own name", "image", Invalid),
        Backing("2.7 missing file", "missing", Missing),
    ];

    private static IEnumerable<Qcow2CorpusCase> Chains
    {
        get
        {
            yield return new("2.7 two-image loop", Sound.WithBacking("base", "qcow2"), Refers, Invalid)
            {
                Others = Files((BasePath, Sound.WithBacking("image", "qcow2"))),
                Opened = [ImagePath, BasePath],
            };
            yield return Chain("2.7 chain of 200", 200, null, opened: 200);
            yield return Chain("2.7 chain of 257", 257, Invalid, opened: 256);
        }
    }

    private static IEnumerable<Qcow2CorpusCase> BackingFormats =>
    [
        Backing("2.7 backing format absent", "base", Denied, format: null),
        new("2.7 backing format lies: a raw disk as qcow2", Sound.WithBacking("base", "qcow2"), Refers, Invalid) { Opened = [ImagePath, BasePath] },
        new("2.7 backing format lies: a qcow2 image as raw", Sound.WithBacking("base", "raw"), Refers, null)
        {
            Others = Files((BasePath, Sound.WithBacking("/etc/passwd", "raw"))), // bytes of a disk now, no reference
            Opened = [ImagePath, BasePath],
        },
        Backing("2.7 backing format unknown", "base", BlockErrorKind.Unsupported, format: "tomorrow"),
    ];

    private static IEnumerable<Qcow2CorpusCase> DataFiles =>
    [
        new("2.8 bit without a name", Sound.WithExtensions().With64(72, 1 << 2), Refers, Invalid),
        new("2.8 bit with an empty name", Sound.WithDataFile(""), Refers, Invalid),
        new("2.8 name without the bit", Sound.WithDataFile("data").With64(72, 0), Refers, null),
        new("2.8 data-file-raw without the bit", Sound.With64(88, 1 << 1), InspectionVerdict.Damaged, Invalid),
        new("2.8 the image itself", Sound.WithDataFile("image"), Refers, Invalid),
        new("2.8 its own backing file", WithBoth("base"), Refers, Invalid) { Opened = [ImagePath, BasePath] },
        new("2.8 json:", Sound.WithDataFile(Json), Refers, Denied),
        new("2.8 absolute", Sound.WithDataFile("/etc/passwd"), Refers, Denied),
        new("2.8 upwards", Sound.WithDataFile("../etc/passwd"), Refers, Denied),
        new("2.8 device node", Sound.WithDataFile("/dev/sda"), Refers, Denied),
        new("2.8 missing", Sound.WithDataFile("missing"), Refers, Missing),
        new("2.8 embedded NUL", Sound.WithDataFile("data\0"), InspectionVerdict.Damaged, Invalid),
    ];

    private static Qcow2CorpusCase Backing(string name, string reference, BlockErrorKind kind, string? format = "raw")
        => new(name, Sound.WithBacking(reference, format), Refers, kind);

    private static Qcow2CorpusCase Chain(string name, int images, BlockErrorKind? kind, int opened)
    {
        Dictionary<string, byte[]> files = [];
        for (int i = 1; i < images; i++)
        {
            files[$"/d/{i}"] = i == images - 1 ? Sound : Sound.WithBacking($"{i + 1}", "qcow2");
        }

        return new(name, Sound.WithBacking("1", "qcow2"), Refers, kind) { Others = files, Opened = [ImagePath, .. Enumerable.Range(1, opened - 1).Select(i => $"/d/{i}")] };
    }

    private static byte[] WithBoth(string name) => Sound
        .WithBacking(name, "raw")
        .WithExtensions(Extension(BackingFormat, "raw"), Extension(DataFileName, name))
        .With(900, System.Text.Encoding.UTF8.GetBytes(name))
        .With64(72, 1 << 2);

    private static Dictionary<string, byte[]> Files(params (string Path, byte[] Content)[] files) => files.ToDictionary(file => file.Path, file => file.Content);
}
