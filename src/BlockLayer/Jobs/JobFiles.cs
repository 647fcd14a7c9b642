using System.Text;
using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.Jobs;

/// <summary>
/// What a job leaves of the files of its chain: of an image its own file, and then the second one that it keeps its data in, if it has one (qcow2's data file, add-cow's image
/// file). Images that are stored in no file are told by their node's name; lists are newest first.
/// </summary>
public sealed record JobFiles
{
    /// <summary>Nothing is known of any file: the job was never set to work.</summary>
    public static JobFiles None { get; } = new();

    /// <summary>The disk consists of these, whatever else is said of them.</summary>
    public IReadOnlyList<string> Needed { get; init; } = [];

    /// <summary>The disk consisted of these before the job and does not need them any more.</summary>
    public IReadOnlyList<string> Unneeded { get; init; } = [];

    /// <summary>Opened by themselves, these show something else than before, as the job is to bring about: the base of a commit, the target of a whole copy or backup.</summary>
    public IReadOnlyList<string> Changed { get; init; } = [];

    /// <summary>
    /// Opened by themselves, these show a mixture that is of no use, and so does every other overlay of theirs: the images between the top and the base of a commit, the target of a copy or backup that
    /// is not whole.
    /// </summary>
    public IReadOnlyList<string> Invalid { get; init; } = [];

    /// <summary>How an image is called, as the lists call its own file.</summary>
    internal static string NameOf(BlockNode image) => image.Path ?? image.NodeName;

    /// <summary>The files of images, as the lists call them. Asked while the images are open.</summary>
    internal static IReadOnlyList<string> NamesOf(params IEnumerable<BlockNode> images) => [.. images.SelectMany(static image => FilesOf(image)).Select(static file => file.Name)];

    /// <summary>The files of an image, as the lists call them, and what they are; no identity where there is no file.</summary>
    internal static IEnumerable<(string Name, StorageIdentity? Identity)> FilesOf(BlockNode image)
    {
        StorageNode? own = BackingName.FileOf(image);
        yield return (NameOf(image), own?.Storage.Identity);
        if (image.GetChild(EdgeRole.Data) is { } child && BackingName.FileOf(child) is { } data && data != own)
        {
            yield return (data.Storage.Name, data.Storage.Identity);
        }
    }

    // A record shows of a list its type, of which nobody learns what became of a file.
    private bool PrintMembers(StringBuilder builder)
    {
        builder.AppendJoin(", ", [Line(nameof(Needed), Needed), Line(nameof(Unneeded), Unneeded), Line(nameof(Changed), Changed), Line(nameof(Invalid), Invalid)]);
        return true;

        static string Line(string name, IReadOnlyList<string> files) => $"{name} = [{string.Join(", ", files)}]";
    }
}
