using System.Formats.Tar;
using System.Globalization;
using System.IO.Compression;

namespace BlockLayer.TestKit;

/// <summary>The images written by other programs, unpacked once a process into a temporary folder that goes when the process ends.</summary>
public static class GoldenImages
{
    private static readonly Lazy<string> s_folder = new(Unpack);

    private static readonly Lazy<IReadOnlyList<GoldenImage>> s_all = new(ReadManifest);

    /// <summary>Where the images are, with the files they refer to.</summary>
    public static string Folder => s_folder.Value;

    /// <summary>Every image of the manifest.</summary>
    public static IReadOnlyList<GoldenImage> All => s_all.Value;

    /// <summary>The images of one format.</summary>
    public static IEnumerable<GoldenImage> OfFormat(string format) => All.Where(image => image.Format == format);

    /// <summary>The image with this file name.</summary>
    public static GoldenImage Get(string name) => All.Single(image => image.Name == name);

    private static string Unpack()
    {
        string folder = Directory.CreateTempSubdirectory("blocklayer-golden-").FullName;
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(folder, recursive: true);
        using FileStream archive = File.OpenRead(Path.Combine(SourceTree.Root, "images", "golden", "golden-images.tar.gz"));
        using GZipStream tar = new(archive, CompressionMode.Decompress);
        TarFile.ExtractToDirectory(tar, folder, overwriteFiles: false);
        return folder;
    }

    private static List<GoldenImage> ReadManifest()
        => [.. File.ReadLines(Path.Combine(Folder, "manifest.tsv")).Skip(1).Select(Parse)];

    private static GoldenImage Parse(string line)
    {
        string[] columns = line.Split('\t');
        return new GoldenImage(columns[0], columns[1], long.Parse(columns[2], CultureInfo.InvariantCulture), columns[3] == "-" ? null : columns[3], columns[4]);
    }
}
