using BlockLayer.Errors;
using BlockLayer.Primitives;

namespace BlockLayer.Libvirt;

/// <summary>
/// A named set of disks in this process: what libvirt's calls mean by a domain, without a guest. While it runs, its disks are open and take requests and jobs.
/// </summary>
/// <remarks>
/// The lifecycle lock is held across a start and a stop, one at a time; the gate guards what is known about the domain, and nothing is called under it.
/// </remarks>
public sealed partial class Domain
{
    private readonly AsyncLock _lifecycle = new();
    private readonly Lock _gate = new();
    private readonly LibvirtHost _host;
    private DomainDefinition _definition;             // guarded by _gate: what the next start opens
    private DomainDefinition _running;                // guarded by _gate: what the last start opened
    private IReadOnlyList<DomainDisk> _disks;         // guarded by _gate: open while the domain runs
    private bool _isPersistent;                       // guarded by _gate
    private int _starts;                              // guarded by _gate: callers who start it now
    private bool _isGone;                             // guarded by _gate: the host has forgotten it
    private int? _id;                                 // guarded by _gate: set while it runs

    internal Domain(LibvirtHost host, DomainDefinition definition, DomainLifetime lifetime)
    {
        _host = host;
        _definition = _running = definition;
        _isPersistent = lifetime == DomainLifetime.Persistent;
        _disks = Closed(definition);
        Name = definition.Name;
    }

    /// <summary>What it is called; unique in its host.</summary>
    public string Name { get; }

    /// <summary>Whether its disks are open.</summary>
    public DomainState State => Id is null ? DomainState.ShutOff : DomainState.Running;

    /// <summary>A number that no other running domain of the host has; null while it is shut off.</summary>
    public int? Id
    {
        get
        {
            lock (_gate)
            {
                return _id;
            }
        }
    }

    /// <summary>True when it outlives a stop. Some jobs are refused then, because the next start would not know of them.</summary>
    public bool IsPersistent
    {
        get
        {
            lock (_gate)
            {
                return _isPersistent;
            }
        }

        internal set
        {
            lock (_gate)
            {
                _isPersistent = value;
            }
        }
    }

    /// <summary>Its disks, in the order of its description.</summary>
    public IReadOnlyList<DomainDisk> Disks
    {
        get
        {
            lock (_gate)
            {
                return _disks;
            }
        }
    }

    /// <summary>The host that it lives in.</summary>
    internal LibvirtHost Host => _host;

    /// <summary>The disk that a caller means: by the path of its source as the description spells it, or by its target.</summary>
    /// <exception cref="LibvirtException">InvalidArg: no name, no such disk, or two disks with that source.</exception>
    public DomainDisk FindDisk(string? disk)
    {
        string name = CallRules.RequireDisk(disk);
        bool isPath = name.StartsWith('/');
        DomainDisk[] found = [.. Disks.Where(known => isPath ? known.Source?.Path == name : known.Target == name)];
        return found switch
        {
            [DomainDisk one] => one,
            [] => throw LibvirtException.Refused(LibvirtErrorCode.InvalidArg, $"The domain '{Name}' has no disk '{name}'; it has {ListDisks()}."),
            _ => throw LibvirtException.Refused(
                LibvirtErrorCode.InvalidArg,
                $"'{name}' is ambiguous: it is the source of {string.Join(" and ", found.Select(each => each.Target))}. Name the disk by its target."),
        };
    }

    /// <summary>
    /// The description: as it is now, with each disk's chain numbered, or as it will be at the next start. What the block layer has no use for is given back as it was defined.
    /// </summary>
    /// <exception cref="LibvirtException">InvalidArg: a flag that does not exist here.</exception>
    public string GetXml(DomainXmlFlags flags = DomainXmlFlags.None)
    {
        if ((flags & ~DomainXmlFlags.Inactive) != 0)
        {
            throw LibvirtException.InvalidArg($"GetXml has no flag 0x{(int)(flags & ~DomainXmlFlags.Inactive):x}.");
        }

        DomainDefinition definition, running;
        IReadOnlyList<DomainDisk> disks;
        int? id;
        lock (_gate)
        {
            (definition, running, disks, id) = (_definition, _running, _disks, _id);
        }

        return id is null || (flags & DomainXmlFlags.Inactive) != 0
            ? Followed(definition, disks).ToText(disks: null, id: null)
            : running.ToText(disks, id);
    }

    /// <summary>Makes sure that it runs, which every job needs.</summary>
    /// <exception cref="LibvirtException">OperationInvalid.</exception>
    internal void RequireRunning()
    {
        if (Id is null)
        {
            throw LibvirtException.Refused(LibvirtErrorCode.OperationInvalid, $"The domain '{Name}' is not running.");
        }
    }

    /// <summary>Makes sure that a copy may run: it is lost at a stop, which a persistent domain's next start would not know.</summary>
    /// <exception cref="LibvirtException">OperationInvalid: it is persistent, and the caller did not say that the job need not survive.</exception>
    internal void RequireTransient(BlockCopyFlags flags)
    {
        if (IsPersistent && (flags & BlockCopyFlags.TransientJob) == 0)
        {
            throw LibvirtException.Refused(
                LibvirtErrorCode.OperationInvalid,
                $"The domain '{Name}' is not transient: a copy would be lost at its next start. Say TRANSIENT_JOB to accept that.");
        }
    }

    /// <summary>Tells that a job is ready or has ended. The description says it already: the graph is switched, and the disk's job and mirror are what they are now.</summary>
    internal void TellOfJob(DomainDisk disk, BlockJobType type, BlockJobStatus status, LibvirtError? error = null)
        => Tell(new BlockJobEvent(this, disk.Target, disk.Source?.Path, type, status) { Error = error });

    /// <summary>
    /// The same with an event that is there already. What a listener throws comes out, if it was told on return; a task that nobody observes has it otherwise.
    /// </summary>
    internal void Tell(DomainEvent what)
    {
        Task told = TellAsync(what);
        if (told.IsCompleted)
        {
            told.GetAwaiter().GetResult();
        }
    }

    /// <summary>Tells an event.</summary>
    /// <returns><inheritdoc cref="DomainEventQueue.Raise" path="/returns"/></returns>
    internal Task TellAsync(DomainEvent what) => _host.Events.Raise(what);

    /// <summary>
    /// Takes another definition for the next start. A disk that it gives the image that is active now goes on being followed: when a job makes another image active, the next start opens that. Of a
    /// disk that it gives another image, it is believed.
    /// </summary>
    internal void Redefine(DomainDefinition definition)
    {
        DomainDisk[] left = [.. Disks.Where(disk => !definition.Disks.Any(next => next.Target == disk.Target && next.Source?.Path == disk.Source?.Path))];
        lock (_gate)
        {
            _definition = definition;
            _isPersistent = true;
            if (_id is null)
            {
                (_running, _disks) = (definition, Closed(definition));
                return;
            }

            foreach (DomainDisk disk in _disks)
            {
                disk.IsFollowed = !left.Contains(disk);
            }
        }
    }

    /// <summary>Opens all disks, or none.</summary>
    /// <exception cref="LibvirtException">OperationInvalid: it runs already; otherwise, why which disk could not be opened.</exception>
    internal async ValueTask StartAsync(CancellationToken cancellationToken)
    {
        IReadOnlyList<MissingSource> missing = await OpenAsync(cancellationToken).ConfigureAwait(false);

        // Told after the lifecycle lock is left: a listener may want to stop the domain. And all of it, before what a listener throws comes out.
        Task[] told = [.. missing.Select(source => TellAsync(new DiskChangeEvent(this, source.Path, NewPath: null, source.Target, source.Reason)))];
        foreach (Task each in told.Where(static each => each.IsCompleted))
        {
            each.GetAwaiter().GetResult();
        }
    }

    /// <summary>Keeps the domain from going until <see cref="EndStart"/>.</summary>
    /// <exception cref="LibvirtException">NoDomain: it is gone.</exception>
    internal void BeginStart()
    {
        lock (_gate)
        {
            if (_isGone)
            {
                throw new LibvirtException(LibvirtErrorCode.NoDomain, LibvirtErrorDomain.Qemu, $"The domain '{Name}' is gone; define or create it anew.");
            }

            _starts++;
        }
    }

    /// <summary>A start has ended, well or not.</summary>
    internal void EndStart()
    {
        lock (_gate)
        {
            _starts--;
        }
    }

    /// <summary>Makes it gone, and never to be started again, unless it is persistent, runs, or is being started.</summary>
    /// <returns>Whether it has gone now.</returns>
    internal bool TryGo()
    {
        lock (_gate)
        {
            bool goes = !_isGone && !_isPersistent && _id is null && _starts == 0;
            _isGone |= goes;
            return goes;
        }
    }

    /// <summary>Cancels what runs on the disks and closes them. The next start opens the images that are active now.</summary>
    /// <returns>False, and nothing is done: it does not run.</returns>
    /// <exception cref="LibvirtException">A disk could not be closed well; the others were, and the domain is shut off.</exception>
    internal async ValueTask<bool> TryShutOffAsync(CancellationToken cancellationToken)
    {
        using AsyncLock.Releaser turn = await _lifecycle.EnterAsync(cancellationToken).ConfigureAwait(false);
        if (Id is null)
        {
            return false;
        }

        using IDisposable? quiet = await StopSnapshotsAsync(cancellationToken).ConfigureAwait(false);
        IReadOnlyList<DomainDisk> disks = Disks;
        List<Exception> failures = await CloseAsync(disks).ConfigureAwait(false);
        lock (_gate)
        {
            _definition = _running = Followed(_definition, disks);
            (_disks, _id) = (Closed(_definition), null);
        }

        ThrowIfAny(failures);
        return true;
    }

    private async ValueTask<IReadOnlyList<MissingSource>> OpenAsync(CancellationToken cancellationToken)
    {
        using AsyncLock.Releaser turn = await _lifecycle.EnterAsync(cancellationToken).ConfigureAwait(false);
        if (Id is not null)
        {
            throw LibvirtException.Refused(LibvirtErrorCode.OperationInvalid, $"The domain '{Name}' runs already.");
        }

        DomainDefinition definition = await SettleSnapshotsAsync(cancellationToken).ConfigureAwait(false);
        var opener = new DiskOpener(_host.Options.Disks);
        IReadOnlyList<DomainDisk> opened = await opener.OpenAllAsync(definition.Disks, cancellationToken).ConfigureAwait(false);
        lock (_gate)
        {
            (_running, _disks, _id) = (definition, opened, _host.NextId());
        }

        return opener.Missing;
    }

    /// <summary>Closes disks, all of them.</summary>
    /// <returns>Why some could not be closed well.</returns>
    internal static async ValueTask<List<Exception>> CloseAsync(IReadOnlyList<DomainDisk> disks)
    {
        var failures = new List<Exception>();
        foreach (DomainDisk disk in disks)
        {
            try
            {
                await disk.CloseAsync().ConfigureAwait(false);
            }
            catch (BlockLayerException error)
            {
                failures.Add(error);
            }
        }

        return failures;
    }

    /// <summary>Throws what kept disks from being closed well, if anything did.</summary>
    /// <exception cref="LibvirtException">As told of the first of them.</exception>
    internal static void ThrowIfAny(List<Exception> failures)
    {
        if (failures.Count > 0)
        {
            throw new LibvirtException(LibvirtError.From(failures[0])!, failures.Count == 1 ? failures[0] : new AggregateException(failures));
        }
    }

    private static DomainDefinition Followed(DomainDefinition definition, IReadOnlyList<DomainDisk> disks)
    {
        DomainDisk[] changed = [.. disks.Where(disk => disk.IsFollowed && disk.HasChanged)];
        return changed.Length == 0 ? definition : definition.With(changed);
    }

    private IReadOnlyList<DomainDisk> Closed(DomainDefinition definition)
        => [.. definition.Disks.Select(disk => new DomainDisk(disk, open: null, _host.Options.Disks.Environment.Files))];

    private string ListDisks() => Disks.Count == 0 ? "none" : string.Join(", ", Disks.Select(disk => disk.Target));
}
