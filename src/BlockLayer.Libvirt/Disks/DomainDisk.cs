using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Primitives;
using BlockLayer.Storage;

namespace BlockLayer.Libvirt;

/// <summary>A disk of a domain: open while the domain runs.</summary>
/// <remarks>
/// The chain is read from the graph whenever it is asked for, so it is right the moment a job has changed it. Calls that start, change or end a job, and the close, take their turn one after the
/// other; the job itself goes on outside. The lock guards which job occupies the disk and how its mirror is described; nothing is called under it.
/// </remarks>
public sealed class DomainDisk
{
    private readonly Lock _gate = new();
    private readonly StorageProvider _files;
    private readonly string[] _chainAtStart;
    private readonly AsyncLock _turn = new();
    private IDiskJob? _job;      // guarded by _gate
    private DiskMirror? _mirror; // guarded by _gate
    private bool _isClosed;      // guarded by _turn

    /// <summary>A disk that is open, or is not because nothing is in it or its domain does not run.</summary>
    internal DomainDisk(DiskDefinition definition, Disk? open, StorageProvider files)
    {
        Definition = definition;
        Open = open;
        _files = files;
        _chainAtStart = [.. Chain.Select(element => element.Path)];
    }

    /// <summary>What the guest calls it.</summary>
    public string Target => Definition.Target;

    /// <summary>How its domain defined it when it started.</summary>
    public DiskDefinition Definition { get; }

    /// <summary>The open disk, for reading, writing and everything the block layer does besides; null while nothing is open. The domain owns it.</summary>
    public Disk? Open { get; }

    /// <summary>Where its active image is now; null for an empty drive.</summary>
    public DiskSource? Source => Open is null ? Definition.Source : Chain[0].Source;

    /// <summary>The format of its active image; null where nothing is open and none is said.</summary>
    public string? Format => Open is null ? Definition.Format : Chain[0].Format;

    /// <summary>Its images, the active one first; empty while nothing is open.</summary>
    public IReadOnlyList<ChainElement> Chain
    {
        get
        {
            var chain = new List<ChainElement>();
            string? recorded = null;
            foreach (BlockNode node in Open?.Chain ?? [])
            {
                string path = node.Path ?? node.NodeName;
                chain.Add(new ChainElement(chain.Count, node, new DiskSource(IsBlockDevice(path), path), recorded));
                recorded = node.BackingReference?.Name;
            }

            return chain;
        }
    }

    /// <summary>What occupies the disk; null for nothing.</summary>
    internal IDiskJob? Job
    {
        get
        {
            lock (_gate)
            {
                return _job;
            }
        }
    }

    /// <summary>The second file of the job that runs; null without one.</summary>
    internal DiskMirror? Mirror
    {
        get
        {
            lock (_gate)
            {
                return _mirror;
            }
        }
    }

    /// <summary>True when its chain is another one than at the start, so that the domain's description has to be written anew.</summary>
    internal bool HasChanged => Open is not null && !Chain.Select(element => element.Path).SequenceEqual(_chainAtStart);

    /// <summary>Whether the next start opens the image that is active then, and not the one that its definition names. Guarded by its domain.</summary>
    internal bool IsFollowed { get; set; } = true;

    /// <summary>The image that a commit's <c>top</c> means; null means the active image.</summary>
    /// <exception cref="LibvirtException">InvalidArg: not in the chain, ambiguous, or with nothing below it. ConfigUnsupported: the drive is empty.</exception>
    public ChainElement FindTop(string? top)
    {
        IReadOnlyList<ChainElement> chain = RequireChain();
        ChainElement found = top is null ? chain[0] : Address(chain).Find(top);
        return found.Index < chain.Count - 1
            ? found
            : throw LibvirtException.Refused(LibvirtErrorCode.InvalidArg, $"'{found.Path}' has no backing file to be committed into.");
    }

    /// <summary>The image that a commit's <c>base</c> means: null means the bottom of the chain or, with <see cref="BlockCommitFlags.Shallow"/>, what is right below the top.</summary>
    /// <exception cref="LibvirtException">InvalidArg: not in the chain, ambiguous, not below <paramref name="top"/> or, with the flag, not right below it.</exception>
    public ChainElement FindCommitBase(string? @base, ChainElement top, BlockCommitFlags flags)
    {
        IReadOnlyList<ChainElement> chain = RequireChain();
        bool isShallow = (flags & BlockCommitFlags.Shallow) != 0;
        if (@base is null)
        {
            return isShallow ? chain[top.Index + 1] : chain[^1];
        }

        ChainElement found = FindBelow(chain, @base, top);
        return !isShallow || found.Index == top.Index + 1
            ? found
            : throw LibvirtException.Refused(LibvirtErrorCode.InvalidArg, $"SHALLOW commits into the image right below '{top.Path}', and {found} is not that.");
    }

    /// <summary>The image that a pull's <c>base</c> means, which stays below the active image; null for null: nothing stays.</summary>
    /// <exception cref="LibvirtException">InvalidArg: not in the chain, ambiguous, or the active image itself.</exception>
    public ChainElement? FindPullBase(string? @base)
    {
        IReadOnlyList<ChainElement> chain = RequireChain();
        return @base is null ? null : FindBelow(chain, @base, chain[0]);
    }

    /// <summary>The relative name by which <paramref name="overlay"/> can record <paramref name="base"/>, which lies further down the chain.</summary>
    /// <exception cref="LibvirtException">OperationInvalid: the images between them do not record relative names.</exception>
    internal string GetRelativeName(ChainElement overlay, ChainElement @base)
    {
        IEnumerable<ChainElement> between = Chain.Skip(overlay.Index + 1).Take(@base.Index - overlay.Index);
        return RelativeName.Join([.. between.Select(element => element.RecordedName)])
            ?? throw LibvirtException.Refused(
                LibvirtErrorCode.OperationInvalid,
                $"'{overlay.Path}' cannot record a relative name of '{@base.Path}': not every image between them records a relative one.");
    }

    /// <summary>Waits for the turn of a call that starts, changes or ends a job.</summary>
    /// <exception cref="LibvirtException">OperationInvalid: the domain was stopped meanwhile. ConfigUnsupported: the drive is empty.</exception>
    internal async ValueTask<AsyncLock.Releaser> EnterTurnAsync(CancellationToken cancellationToken)
    {
        AsyncLock.Releaser turn = await _turn.EnterAsync(cancellationToken).ConfigureAwait(false);
        if (!_isClosed && Open is not null)
        {
            return turn;
        }

        turn.Dispose();
        throw _isClosed
            ? LibvirtException.Refused(LibvirtErrorCode.OperationInvalid, $"The disk '{Target}' was closed: its domain is not running.")
            : NothingIn();
    }

    /// <summary>Cancels what runs on the disk, waits until its end was told, and closes it.</summary>
    /// <exception cref="BlockLayerException">It could not be closed well; it is closed.</exception>
    internal async ValueTask CloseAsync()
    {
        using AsyncLock.Releaser turn = await _turn.EnterAsync().ConfigureAwait(false);
        _isClosed = true;
        IDiskJob? job = Job;
        try
        {
            await (Open?.DisposeAsync() ?? ValueTask.CompletedTask).ConfigureAwait(false);
        }
        finally
        {
            if (job is not null)
            {
                await job.WaitForEndAsync(CancellationToken.None).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Gives the disk to a job.</summary>
    /// <exception cref="LibvirtException">BlockCopyActive: a copy or active commit has it; OperationUnsupported: another job has.</exception>
    internal void Occupy(IDiskJob job)
    {
        lock (_gate)
        {
            ThrowIfOccupiedLocked();
            _job = job;
        }
    }

    /// <summary>Makes sure that no job has the disk, before a new one is made.</summary>
    /// <exception cref="LibvirtException">As for <see cref="Occupy"/>.</exception>
    internal void ThrowIfOccupied()
    {
        lock (_gate)
        {
            ThrowIfOccupiedLocked();
        }
    }

    /// <summary>Puts the second file of the job that has the disk into the description. For another job, does nothing.</summary>
    internal void Describe(IDiskJob job, DiskMirror mirror)
    {
        lock (_gate)
        {
            if (ReferenceEquals(_job, job))
            {
                _mirror = mirror;
            }
        }
    }

    /// <summary>Takes the disk from a job that has ended, and its mirror out of the description. For another job than the one that has it, does nothing.</summary>
    internal void Release(IDiskJob job)
    {
        lock (_gate)
        {
            if (ReferenceEquals(_job, job))
            {
                (_job, _mirror) = (null, null);
            }
        }
    }

    /// <summary>Describes the job that has the disk; null when none has.</summary>
    /// <exception cref="LibvirtException">Overflow: the bandwidth does not fit the caller's number.</exception>
    internal BlockJobInfo? DescribeJob(BlockJobInfoFlags flags, ClientLong client) => Job is { } job ? BlockJobInfo.Of(job.Read(), flags, client) : null;

    // An image that is open is described whatever has become of its path: nothing that asks for the chain, least of all the end of a job, fails for that.
    private bool IsBlockDevice(string path)
    {
        try
        {
            return _files.GetInfo(path) is { Kind: StorageFileKind.BlockDevice };
        }
        catch (BlockLayerException)
        {
            return false; // as of a path at which nothing stands any more
        }
    }

    private ChainElement FindBelow(IReadOnlyList<ChainElement> chain, string name, ChainElement top)
    {
        ChainElement found = Address(chain).Find(name);
        return found.Index > top.Index
            ? found
            : throw new LibvirtException(LibvirtErrorCode.InvalidArg, LibvirtErrorDomain.Storage, $"{found} is not below {top}.");
    }

    private ChainAddress Address(IReadOnlyList<ChainElement> chain) => new(Target, chain, _files);

    private IReadOnlyList<ChainElement> RequireChain()
    {
        IReadOnlyList<ChainElement> chain = Chain;
        return chain.Count > 0 ? chain : throw NothingIn();
    }

    private LibvirtException NothingIn() => LibvirtException.Refused(LibvirtErrorCode.ConfigUnsupported, $"There is nothing in the disk '{Target}'.");

    private void ThrowIfOccupiedLocked()
    {
        if (_job is { } job)
        {
            LibvirtErrorCode code = job.Type is BlockJobType.Copy or BlockJobType.ActiveCommit
                ? LibvirtErrorCode.BlockCopyActive
                : LibvirtErrorCode.OperationUnsupported;
            throw LibvirtException.Refused(code, $"A job runs on the disk '{Target}' already.");
        }
    }
}
