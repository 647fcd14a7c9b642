using BlockLayer.Graph;
using BlockLayer.Images;

namespace BlockLayer.TestKit.Graph;

/// <summary>
/// A chain with an image in the middle that a job has to write: <c>root.raw</c>, <c>middle</c> in the format under test, <c>top.qcow2</c>. Each image is longer than
/// the one below, and provides something of its own.
/// </summary>
internal sealed class ReopenWorld : IDisposable
{
    internal const int RootLength = 600 * 1024;
    internal const int MiddleLength = 1024 * 1024;
    internal const int TopLength = 1536 * 1024;

    /// <summary>Bytes at the start that the top provides, so that nothing shows there of what happens below.</summary>
    internal const int Hidden = 128 * 1024;

    private readonly Passphrase _passphrase = Passphrase.FromText("reopen");
    private readonly string _folder;
    private readonly string _kind;

    /// <param name="environment">Where the chain is.</param>
    /// <param name="kind">One of <see cref="Kinds"/>.</param>
    /// <param name="folder">The directory of its files.</param>
    internal ReopenWorld(BlockEnvironment environment, string kind, string folder = "/vm")
    {
        Environment = environment;
        _kind = kind;
        _folder = folder;
    }

    /// <summary>What the image in the middle can be.</summary>
    internal static string[] Kinds { get; } =
        ["raw", "qcow2", "qcow2 v2", "qcow2 with a data file", "qcow2 with a raw data file", "qcow2, encrypted", "qcow2 with a bitmap", "qed", "add-cow"];

    internal BlockEnvironment Environment { get; }

    internal string Top => $"{_folder}/top.qcow2";

    internal string Middle => $"{_folder}/middle";

    internal string Root => $"{_folder}/root.raw";

    /// <summary>The file beside the middle image that holds its data; null where there is none.</summary>
    internal string? MiddleData => _kind is "add-cow" or "qcow2 with a data file" or "qcow2 with a raw data file" ? $"{_folder}/middle.data" : null;

    /// <summary>False where the image in the middle cannot have a backing file.</summary>
    internal bool HasRoot => _kind is not ("raw" or "qcow2 with a raw data file");

    internal string MiddleFormat => _kind.Split(' ', ',')[0];

    public void Dispose() => _passphrase.Dispose();

    /// <summary>Makes the chain; what its top shows.</summary>
    internal async ValueTask<byte[]> CreateAsync()
    {
        var creator = new ImageCreator(BuiltInFormats.All, Environment);
        var content = new byte[TopLength];
        if (HasRoot)
        {
            await creator.CreateAsync(Root, new NewImage { Format = "raw", Length = RootLength }, OpenPolicy.Default);
            await FillAsync(Root, "raw", content, 0, RootLength, writer: 1);
        }

        await creator.CreateAsync(Middle, NewMiddle(), OpenPolicy.Default);
        await FillAsync(Middle, MiddleFormat, content, 200_000, 70_000, writer: 2);
        await FillAsync(Middle, MiddleFormat, content, MiddleLength - 5000, 5000, writer: 2);
        var top = new NewImage
        {
            Format = "qcow2",
            Length = TopLength,
            Backing = new BackingReference("middle", MiddleFormat),
            Verification = BackingVerification.None,
        };
        await creator.CreateAsync(Top, top, OpenPolicy.Default);
        await FillAsync(Top, "qcow2", content, 0, Hidden, writer: 3);
        return content;
    }

    internal ValueTask<BlockNode> OpenAsync(NodeAccess access = NodeAccess.ReadWrite) => OpenAsync(Top, "qcow2", access);

    internal ValueTask<BlockNode> OpenMiddleAsync(NodeAccess access = NodeAccess.ReadOnly) => OpenAsync(Middle, MiddleFormat, access);

    internal static async ValueTask<byte[]> ReadAllAsync(BlockNode disk)
    {
        byte[] content = new byte[disk.Length];
        await disk.ReadAsync(0, content);
        return content;
    }

    private ValueTask<BlockNode> OpenAsync(string path, string format, NodeAccess access)
        => new ImageOpener(BuiltInFormats.All, Environment).OpenAsync(
            path, new ImageOpenOptions { Format = format, Access = access, Secrets = new ImageSecrets(_passphrase) });

    private async ValueTask FillAsync(string path, string format, byte[] content, int offset, int length, int writer)
    {
        Pattern.Fill(content.AsSpan(offset, length), offset, writer);
        await using BlockNode image = await OpenAsync(path, format, NodeAccess.ReadWrite);
        await image.WriteAsync(offset, content.AsMemory(offset, length));
        if (_kind == "qcow2 with a bitmap" && path == Middle && offset + length == image.Length)
        {
            await ImageBitmaps.AddAsync(image, "changes"); // nothing is marked in it
        }
    }

    private NewImage NewMiddle() => new()
    {
        Format = MiddleFormat,
        Length = MiddleLength,
        Backing = HasRoot ? new BackingReference("root.raw", "raw") : null,
        Secrets = _kind == "qcow2, encrypted" ? new ImageSecrets(_passphrase) : null,
        Options = _kind switch
        {
            "qcow2 v2" => new Dictionary<string, string> { ["compat"] = "0.10" },
            "qcow2 with a data file" => new Dictionary<string, string> { ["data_file"] = "middle.data" },
            "qcow2 with a raw data file" => new Dictionary<string, string> { ["data_file"] = "middle.data", ["data_file_raw"] = "on" },
            "qcow2, encrypted" => new Dictionary<string, string> { ["encrypt.format"] = "luks", ["encrypt.iterations"] = "1000" },
            "add-cow" => new Dictionary<string, string> { ["image_file"] = "middle.data" },
            _ => new Dictionary<string, string>(),
        },
    };
}
