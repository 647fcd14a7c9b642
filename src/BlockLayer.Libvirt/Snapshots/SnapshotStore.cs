using System.Text;
using System.Xml;
using System.Xml.Linq;
using BlockLayer.Errors;
using BlockLayer.Primitives;
using BlockLayer.Storage;

namespace BlockLayer.Libvirt;

/// <summary>
/// The snapshots of one domain, kept in one file of a folder: what exists, which is current, which creation or deletion has begun, and which images the disks go on with.
/// </summary>
/// <remarks>
/// Every change writes the whole file beside the old one, makes it durable, renames it over the old one and makes that durable. So a crash leaves the old state or the new, and a change is
/// durable when its call returns. After a call that failed the store goes on with the old state; its file holds the old or the new one. One store at a time keeps a domain's file.
/// </remarks>
public sealed class SnapshotStore
{
    private const string Version = "1";

    private static readonly UTF8Encoding s_encoding = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true); // else a damaged path would be read as another one

    private readonly AsyncLock _turn = new(); // one change at a time
    private readonly WholeFile _file;
    private readonly string _domain;
    private volatile State _state;

    private SnapshotStore(WholeFile file, string domain, State state)
    {
        _file = file;
        _domain = domain;
        _state = state;
    }

    /// <summary>The snapshots.</summary>
    public SnapshotTree Tree => _state.Tree;

    /// <summary>The deletion that has begun and not ended; null for none. After a crash it has to be finished or taken back before anything else.</summary>
    public SnapshotDeletion? Deletion => _state.Deletion;

    /// <summary>The creation that has begun, while no disk has switched; null for none. After a crash the files that it has made are of no use.</summary>
    internal SnapshotCreation? Creation => _state.Creation;

    /// <summary>The images that disks go on with since they were last changed by a snapshot or its deletion; of a disk that never was, nothing is known.</summary>
    public IReadOnlyList<ActiveImage> Active => _state.Active;

    /// <summary>Opens the store of a domain; a file that does not exist is one without snapshots, and is made by the first change.</summary>
    /// <param name="folder">Where the file is, by the name of the domain; it exists.</param>
    /// <param name="domain">The domain's name.</param>
    /// <param name="files">Where files are.</param>
    /// <param name="cancellationToken">Honoured between steps.</param>
    /// <exception cref="LibvirtException">InvalidDomainSnapshot: the file is no such store or was damaged. It is left as it is.</exception>
    /// <exception cref="BlockLayerException">The file cannot be read.</exception>
    public static async ValueTask<SnapshotStore> OpenAsync(string folder, string domain, StorageProvider files, CancellationToken cancellationToken = default)
    {
        if (domain.Length == 0 || domain.StartsWith('.') || domain.AsSpan().IndexOfAny("/\0") >= 0)
        {
            throw LibvirtException.InvalidArg($"The snapshots of a domain called '{domain}' cannot be stored: its name is to be the name of a file.");
        }

        var file = new WholeFile(files, $"{folder.TrimEnd('/')}/{domain}.snapshots.xml");
        byte[]? bytes = await file.ReadAsync(XmlLimits.MaxStoreCharacters, cancellationToken).ConfigureAwait(false);
        return new SnapshotStore(file, domain, bytes is null ? new State(SnapshotTree.Empty, Creation: null, Deletion: null, Active: []) : Parse(bytes, file.Path, domain));
    }

    /// <summary>Adds a snapshot that was made; it is current then, and the disks go on with its overlays.</summary>
    /// <exception cref="LibvirtException">OperationInvalid: its name is taken, its parent is not current, or a deletion has not ended.</exception>
    /// <exception cref="BlockLayerException">The file cannot be written.</exception>
    public ValueTask AddAsync(SnapshotRecord record, CancellationToken cancellationToken = default)
        => ChangeAsync(state => RequireNoDeletion(state) with { Tree = state.Tree.Add(record), Creation = null, Active = ActiveImage.After(state.Active, record) }, cancellationToken);

    /// <summary>Notes that the disks go on with the overlays of a snapshot which nobody is to remember.</summary>
    /// <exception cref="LibvirtException">OperationInvalid: a deletion has not ended.</exception>
    /// <exception cref="BlockLayerException">The file cannot be written.</exception>
    public ValueTask FollowAsync(SnapshotRecord record, CancellationToken cancellationToken = default)
        => ChangeAsync(state => RequireNoDeletion(state) with { Creation = null, Active = ActiveImage.After(state.Active, record) }, cancellationToken);

    /// <summary>Writes down that files are going to be made. None exists before this returns.</summary>
    /// <exception cref="LibvirtException">OperationInvalid: a deletion or another creation has not ended.</exception>
    /// <exception cref="BlockLayerException">The file cannot be written.</exception>
    internal ValueTask BeginCreationAsync(SnapshotCreation creation, CancellationToken cancellationToken) => ChangeAsync(
        state => RequireNoDeletion(state).Creation is { } begun
            ? throw Invalid($"The files of the snapshot '{begun.Snapshot}', which was not made, are not removed yet.")
            : state with { Creation = creation },
        cancellationToken);

    /// <summary>The creation was undone: its files are gone.</summary>
    /// <exception cref="BlockLayerException">The file cannot be written.</exception>
    internal ValueTask EndCreationAsync(CancellationToken cancellationToken) => ChangeAsync(static state => state with { Creation = null }, cancellationToken);

    /// <summary>Makes the file say what the store does, durably, also after a change that failed.</summary>
    /// <exception cref="BlockLayerException">The file cannot be written.</exception>
    internal ValueTask RestateAsync(CancellationToken cancellationToken) => ChangeAsync(static state => state, cancellationToken);

    /// <summary>Makes another snapshot current, or none.</summary>
    /// <exception cref="LibvirtException">NoDomainSnapshot; OperationInvalid: a deletion has not ended.</exception>
    /// <exception cref="BlockLayerException">The file cannot be written.</exception>
    public ValueTask SetCurrentAsync(string? name, CancellationToken cancellationToken = default)
        => ChangeAsync(state => RequireNoDeletion(state) with { Tree = state.Tree.WithCurrent(name) }, cancellationToken);

    /// <summary>Forgets a snapshot without touching its files.</summary>
    /// <exception cref="LibvirtException">NoDomainSnapshot; OperationInvalid: a deletion has not ended.</exception>
    /// <exception cref="BlockLayerException">The file cannot be written.</exception>
    public ValueTask ForgetAsync(string name, CancellationToken cancellationToken = default)
        => ChangeAsync(state => RequireNoDeletion(state) with { Tree = state.Tree.Remove(name, SnapshotMerge.Untouched) }, cancellationToken);

    /// <summary>Writes down that a deletion begins, and marks the snapshot's disks. No file has been touched before this returns.</summary>
    /// <exception cref="LibvirtException">NoDomainSnapshot; OperationInvalid: another deletion has not ended; InvalidArg: it is about other disks than the snapshot.</exception>
    /// <exception cref="BlockLayerException">The file cannot be written.</exception>
    public ValueTask BeginDeletionAsync(SnapshotDeletion deletion, CancellationToken cancellationToken = default) => ChangeAsync(
        state =>
        {
            SnapshotRecord record = RequireNoDeletion(state).Tree.Find(deletion.Snapshot);
            RequireSameDisks(record, deletion);
            return state with { Tree = Marked(state.Tree, record, isDeleteInProgress: true), Deletion = deletion };
        },
        cancellationToken);

    /// <summary>Writes down how far the deletion is. Disks whose active image went have switched to the one that stays, which is then noted with it.</summary>
    /// <exception cref="LibvirtException">OperationInvalid: it is not the one that has begun.</exception>
    /// <exception cref="BlockLayerException">The file cannot be written.</exception>
    public ValueTask AdvanceDeletionAsync(SnapshotDeletion deletion, CancellationToken cancellationToken = default)
        => ChangeAsync(
            state => state with
            {
                Deletion = RequireDeletion(state, deletion.Snapshot) with { Disks = deletion.Disks },
                Active = ActiveImage.After(state.Active, deletion, state.Tree.Find(deletion.Snapshot)),
            },
            cancellationToken);

    /// <summary>The deletion has done all it had to: the snapshot is gone, and what others say of the merged files follows.</summary>
    /// <exception cref="LibvirtException">OperationInvalid: it is not the one that has begun, or a disk has not switched.</exception>
    /// <exception cref="BlockLayerException">The file cannot be written.</exception>
    public ValueTask FinishDeletionAsync(string snapshot, CancellationToken cancellationToken = default) => ChangeAsync(
        state =>
        {
            SnapshotDeletion deletion = RequireDeletion(state, snapshot);
            return deletion.Disks.FirstOrDefault(disk => disk.Stage != DeletionStage.Switched) is { } late
                ? throw Invalid($"The deletion of '{snapshot}' is not finished: '{late.Target}' has not switched.")
                : state with { Tree = Merged(state.Tree, deletion).Remove(snapshot, SnapshotMerge.Merged), Deletion = null };
        },
        cancellationToken);

    /// <summary>
    /// The deletion was taken back before any disk switched: the disks and their chains are as they were. A frozen file that a backward merge may have written is no longer what it was,
    /// and is marked so.
    /// </summary>
    /// <exception cref="LibvirtException">OperationInvalid: it is not the one that has begun, or can only be finished.</exception>
    /// <exception cref="BlockLayerException">The file cannot be written.</exception>
    public ValueTask AbandonDeletionAsync(string snapshot, CancellationToken cancellationToken = default) => ChangeAsync(
        state => RequireDeletion(state, snapshot).MustFinish
            ? throw Invalid($"The deletion of '{snapshot}' cannot be taken back: a disk may have switched.")
            : state with { Tree = Marked(state.Tree, TakenBack(state.Tree.Find(snapshot), state.Deletion!), isDeleteInProgress: false), Deletion = null },
        cancellationToken);

    // With the snapshot's files merged the way that the deletion did it.
    private static SnapshotTree Merged(SnapshotTree tree, SnapshotDeletion deletion)
    {
        SnapshotRecord record = tree.Find(deletion.Snapshot);
        return tree.Replace(record with { Disks = [.. record.Disks.Zip(deletion.Disks, static (disk, done) => disk with { OnDelete = done.Merge })] });
    }

    private static SnapshotTree Marked(SnapshotTree tree, SnapshotRecord record, bool isDeleteInProgress)
        => tree.Replace(record with { Disks = [.. record.Disks.Select(disk => disk with { IsDeleteInProgress = isDeleteInProgress })] });

    private static SnapshotRecord TakenBack(SnapshotRecord record, SnapshotDeletion deletion) => record with
    {
        Disks = [.. record.Disks.Zip(deletion.Disks, static (disk, begun) => disk with { IsFrozenChanged = disk.IsFrozenChanged || begun.Merge == MergeDirection.Backward })],
    };

    private static void RequireSameDisks(SnapshotRecord record, SnapshotDeletion deletion)
    {
        if (!record.Disks.Select(disk => disk.Target).SequenceEqual(deletion.Disks.Select(disk => disk.Target)))
        {
            throw LibvirtException.InvalidArg(
                $"The snapshot '{record.Name}' is of {Targets(record.Disks.Select(disk => disk.Target))}, and the deletion is of {Targets(deletion.Disks.Select(disk => disk.Target))}.");
        }
    }

    private static string Targets(IEnumerable<string> targets) => string.Join(", ", targets);

    private static State RequireNoDeletion(State state)
        => state.Deletion is { } deletion ? throw Invalid($"The deletion of the snapshot '{deletion.Snapshot}' has not ended; finish it first.") : state;

    private static SnapshotDeletion RequireDeletion(State state, string snapshot)
        => state.Deletion is { } deletion && deletion.Snapshot == snapshot ? deletion : throw Invalid($"No deletion of the snapshot '{snapshot}' has begun.");

    // File names may have characters that XML has no way to write.
    private static void ThrowIfUnwritable(XElement root)
    {
        foreach (XAttribute attribute in root.DescendantsAndSelf().Attributes())
        {
            try
            {
                XmlConvert.VerifyXmlChars(attribute.Value);
            }
            catch (XmlException error)
            {
                string name = string.Concat(attribute.Value.Select(static character => XmlConvert.IsXmlChar(character) ? $"{character}" : $"\\u{(int)character:x4}"));
                throw new LibvirtException(
                    LibvirtErrorCode.OperationUnsupported, LibvirtErrorDomain.DomainSnapshot, $"'{name}' cannot be noted, for its name has characters that XML has not. Rename it first.", error);
            }
        }
    }

    private static LibvirtException Invalid(string message) => new(LibvirtErrorCode.OperationInvalid, LibvirtErrorDomain.DomainSnapshot, message);

    private static LibvirtException Damaged(string path, string why, Exception? cause = null)
        => new(LibvirtErrorCode.InvalidDomainSnapshot, LibvirtErrorDomain.DomainSnapshot, $"'{path}' cannot be used: {why}", cause);

    private static State Parse(byte[] bytes, string path, string domain)
    {
        try
        {
            XElement root = XmlText.Read(s_encoding.GetString(bytes), "domainsnapshots", XmlLimits.MaxStoreCharacters);
            if (root.RequiredText("version") is not Version and { } version)
            {
                throw XmlText.Unsupported(root, $"version is {version}; known is {Version}.");
            }

            if (root.RequiredText("domain") != domain)
            {
                throw XmlText.Invalid(root, $"it is about the domain '{root.Text("domain")}', not '{domain}'.");
            }

            var tree = SnapshotTree.Of(root.Elements("domainsnapshot").Select(SnapshotRecord.Read), root.Text("current"));
            SnapshotCreation? creation = root.Child("creation") is { } making ? SnapshotCreation.Read(making) : null;
            SnapshotDeletion? deletion = root.Child("deletion") is { } begun ? SnapshotDeletion.Read(begun) : null;
            if (deletion is not null)
            {
                SnapshotRecord record = tree.TryFind(deletion.Snapshot) ?? throw XmlText.Invalid(root.Child("deletion")!, $"there is no snapshot '{deletion.Snapshot}'.");
                RequireSameDisks(record, deletion);
            }

            return new State(tree, creation, deletion, [.. root.Elements("active").Select(ActiveImage.Read)]);
        }
        catch (DecoderFallbackException error)
        {
            throw Damaged(path, $"it is no UTF-8 text at byte {error.Index}.", error);
        }
        catch (LibvirtException error)
        {
            throw Damaged(path, error.Message, error);
        }
    }

    private async ValueTask ChangeAsync(Func<State, State> change, CancellationToken cancellationToken)
    {
        using AsyncLock.Releaser turn = await _turn.EnterAsync(cancellationToken).ConfigureAwait(false);
        State next = change(_state);
        var root = new XElement("domainsnapshots", new XAttribute("version", Version), new XAttribute("domain", _domain));
        root.SetAttributeValue("current", next.Tree.CurrentName);
        root.Add(next.Tree.All.Select(record => record.ToXml()), next.Creation?.ToXml(), next.Deletion?.ToXml(), next.Active.Select(image => image.ToXml()));
        ThrowIfUnwritable(root);
        byte[] bytes = s_encoding.GetBytes(root.ToString() + "\n");
        if (bytes.Length > XmlLimits.MaxStoreCharacters)
        {
            throw Invalid($"'{_file.Path}' would have {bytes.Length} bytes; at most {XmlLimits.MaxStoreCharacters} are read. Delete or forget some of the {next.Tree.All.Count} snapshots.");
        }

        await _file.ReplaceAsync(bytes, cancellationToken).ConfigureAwait(false);
        _state = next;
    }

    private sealed record State(SnapshotTree Tree, SnapshotCreation? Creation, SnapshotDeletion? Deletion, IReadOnlyList<ActiveImage> Active);
}
