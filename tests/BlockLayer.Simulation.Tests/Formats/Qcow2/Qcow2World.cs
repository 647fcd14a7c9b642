using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Formats.Raw;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Storage;
using Xunit;

namespace BlockLayer.Simulation.Tests.Formats.Qcow2;

/// <summary>
/// One seeded run: guests write, zero, discard, read and flush one image at the same time, on simulated storage with a volatile cache. Reads are checked
/// against an oracle while it runs; what a crash could leave is checked by whoever holds the <see cref="Recorder"/>.
/// </summary>
internal sealed class Qcow2World : IDisposable
{
    private const int GuestCount = 3;

    private static readonly Passphrase s_passphrase = Passphrase.FromText("secret");

    private readonly SimulationScheduler _scheduler;
    private readonly SeededRandom _random;
    private readonly SimulatedStorageProvider _storage;
    private readonly ImageGeometry _geometry;
    private readonly ClusterReusePolicy _policy;
    private readonly byte[] _base;
    private readonly SectorOracle _oracle;
    private readonly BufferPool _buffers = new();
    private CancellationTokenSource _impatience = new();
    private bool _isImpatient;
    private double _faults;
    private bool _failsOneFlush;

    internal Qcow2World(SimulationScheduler scheduler, ImageGeometry geometry, ClusterReusePolicy? policy = null)
    {
        _scheduler = scheduler;
        _random = scheduler.CreateRandom(7);
        _storage = new SimulatedStorageProvider(scheduler, new SimulatedStorageOptions { Seed = scheduler.Seed });
        _geometry = geometry;
        _policy = policy ?? ClusterReusePolicy.Safe;
        _base = GuestStamp.Create(0, geometry.BackingLength, writer: 1 << 20);
        _oracle = new SectorOracle(geometry.Length, _base.AsMemory(0, Math.Min(_base.Length, geometry.Length)));
        _storage.AddFile("base", _base);
        _storage.AddFile("disk", CreateImage(geometry));
        if (geometry.DataFile is not null)
        {
            _storage.AddFile("data", new byte[geometry.Length]);
        }

        Recorder = new CrashRecorder(_storage, _oracle);
    }

    internal CrashRecorder Recorder { get; }

    /// <summary>Makes guests give up now and then on requests that are under way.</summary>
    internal void AddImpatience() => _isImpatient = true;

    /// <summary>
    /// Makes requests to the file, and to the data file if there is one, fail now and then from when the image is open until the guests are done; requests of
    /// guests may then fail too.
    /// </summary>
    internal void AddFaults(double probability) => _faults = probability;

    /// <summary>
    /// Makes one flush of the file, or of the data file if there is one, fail and drop what it had not written. Such a file takes no more writes, so requests of
    /// guests fail from then on.
    /// </summary>
    internal void AddFlushFault() => _failsOneFlush = true;

    /// <summary>How many requests were made to fail.</summary>
    internal long FaultHits { get; private set; }

    public void Dispose() => Recorder.Dispose();

    /// <summary>Runs the guests to their end, closes the image, and checks that it holds what was acknowledged.</summary>
    internal void Run(int requestsPerGuest)
    {
        Qcow2Node node = _scheduler.Run(() => OpenAsync(_storage, _scheduler, NodeAccess.ReadWrite).AsTask());
        for (int guest = 0; guest < GuestCount; guest++)
        {
            _scheduler.Spawn($"guest {guest}", async () =>
            {
                for (int i = 0; i < requestsPerGuest; i++)
                {
                    await RequestAsync(node);
                }
            });
        }

        ArmFaults();
        _scheduler.Run();
        FaultHits = _storage.Faults.Hits;
        _storage.Faults.Clear();
        _scheduler.Run(async () =>
        {
            await ReadAsync(node, new ByteRange(0, _geometry.Length));
            Assert.True(await SucceedsAsync(node.DisposeAsync) || _failsOneFlush, "the image could not be closed");
        });
        byte[] reopened = _scheduler.Run(async () =>
        {
            await using Qcow2Node again = await OpenAsync(_storage, _scheduler, NodeAccess.ReadOnly);
            byte[] content = new byte[again.Length];
            await again.ReadAsync(0, content);
            ImageCheckReport report = await again.CheckAsync(progress: null, CancellationToken.None);
            Assert.True(report.Corruptions == 0 && (report.Leaks == 0 || _failsOneFlush), string.Join('\n', report.Findings));
            return content;
        });
        _oracle.Check(reopened);
        Assert.Equal(0, _buffers.Outstanding);
    }

    /// <summary>Tries every state that a crash could have left: the disk holds what it may hold, and goes on to take writes without losing anything.</summary>
    internal Task<long> CheckCrashesAsync(CrashEnumeration enumeration)
        => CrashCheck.RunAsync(Recorder, async (state, storage) =>
        {
            var promised = (SectorOracle)state.Image.Observation!;
            byte[] found = new byte[_geometry.Length];
            await using Qcow2Node node = await OpenAsync(storage, scheduler: null, NodeAccess.ReadWrite);
            await node.ReadAsync(0, found);
            promised.Check(found);
            if (_geometry.DataFile == DataFileLayout.Raw)
            {
                promised.Check(storage.ReadFile("data")); // without looking at the image
            }

            ImageCheckReport report = await node.CheckAsync(progress: null, CancellationToken.None);
            Assert.True(report.Corruptions == 0, string.Join('\n', report.Findings));
            await WriteAfterwardsAsync(node, found);
        }, enumeration);

    private void ArmFaults()
    {
        if (_failsOneFlush)
        {
            string path = _geometry.DataFile is not null && _random.Next(2) == 0 ? "/data" : "/disk";
            _storage.Faults.Add(new FaultRule { Operations = StorageOperations.Flush, Path = path, Skip = _random.Next(6), Count = 1, Effect = FaultEffect.FailPartly });
        }

        if (_faults == 0)
        {
            return;
        }

        foreach (string file in _geometry.DataFile is null ? new[] { "/disk" } : ["/disk", "/data"])
        {
            foreach (FaultEffect effect in new[] { FaultEffect.Fail, FaultEffect.FailPartly, FaultEffect.FailAfterwards })
            {
                _storage.Faults.Add(new FaultRule { Operations = StorageOperations.AnyChange, Path = file, Probability = _faults, Effect = effect, Kind = BlockErrorKind.NoSpace });
            }

            _storage.Faults.Add(new FaultRule { Operations = StorageOperations.Read, Path = file, Probability = _faults });
        }
    }

    private static byte[] CreateImage(ImageGeometry geometry)
    {
        var files = new SimulatedStorageProvider();
        BlockEnvironment environment = EnvironmentOf(files, scheduler: null);
        var options = new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateOrTruncate };
        using var file = new BlockingNode(new StorageNode(files.OpenAsync("disk", options, CancellationToken.None).AsTask().GetAwaiter().GetResult(), environment));
        Qcow2Format.Instance.CreateAsync(file.Node, geometry.CreateOptions, CancellationToken.None).AsTask().GetAwaiter().GetResult();
        byte[] image = files.ReadFile("disk");
        image[35] = (byte)geometry.Encryption; // crypt_method, as no image is created any more
        return image;
    }

    private static BlockEnvironment EnvironmentOf(StorageProvider files, SimulationScheduler? scheduler, BufferPool? buffers = null) => new()
    {
        Files = files,
        Work = scheduler?.Work ?? (WorkScheduler)InlineWorkScheduler.Instance,
        Time = scheduler?.Time ?? TimeProvider.System,
        Buffers = buffers ?? BufferPool.Shared,
    };

    private async ValueTask<Qcow2Node> OpenAsync(StorageProvider files, SimulationScheduler? scheduler, NodeAccess access)
    {
        BlockEnvironment environment = EnvironmentOf(files, scheduler, _buffers);
        var file = new StorageNode(await files.OpenAsync("disk", new StorageOpenOptions { Writable = access == NodeAccess.ReadWrite }, CancellationToken.None), environment);
        var format = new Qcow2Format(new Qcow2OpenOptions { ReusePolicy = _policy, TableCacheLength = 8 * 4096 });
        var node = (Qcow2Node)await format.OpenAsync(file, new FormatOpenContext { NodeName = "disk", Access = access, OpenDataFile = OpenDataAsync, Passphrase = s_passphrase }, CancellationToken.None);
        if (_geometry.BackingLength > 0)
        {
            var below = new StorageNode(await files.OpenAsync("base", new StorageOpenOptions(), CancellationToken.None), environment);
            node.AttachBacking(new RawNode("base", below, NodeAccess.ReadOnly));
        }

        return node;

        async ValueTask<BlockNode> OpenDataAsync(string name, CancellationToken cancellationToken)
        {
            var options = new StorageOpenOptions { Writable = access == NodeAccess.ReadWrite };
            return new RawNode(name, new StorageNode(await files.OpenAsync(name, options, cancellationToken), environment), access);
        }
    }

    // Half of the disk is written again: were a cluster of the other half free by its refcount, it would be handed out and overwritten here.
    private async ValueTask WriteAfterwardsAsync(Qcow2Node node, byte[] found)
    {
        int half = (int)Alignment.RoundDown(_geometry.Length / 2, _geometry.ClusterSize);
        GuestStamp.Fill(found.AsSpan(0, half), 0, writer: 1 << 21);
        await node.DiscardAsync(0, half);
        await node.WriteAsync(0, found.AsMemory(0, half));
        await node.FlushAsync();
        byte[] again = new byte[_geometry.Length];
        await node.ReadAsync(0, again);
        int difference = again.AsSpan().CommonPrefixLength(found);
        Assert.True(difference == found.Length, $"after writing on, byte {difference} is not what it was");
    }

    private async ValueTask RequestAsync(Qcow2Node node)
    {
        ByteRange range = NextRange();
        CancellationToken token = _isImpatient && _random.Next(3) == 0 ? _impatience.Token : CancellationToken.None;
        if (_isImpatient && _random.Next(6) == 0)
        {
            (CancellationTokenSource expired, _impatience) = (_impatience, new CancellationTokenSource());
            expired.Cancel();
        }

        switch (_random.Next(14))
        {
            case 4 when node.Limits.SupportsCompressedWrites:
                await WriteCompressedAsync(node, range);
                break;
            case < 5:
                byte[] data = new byte[range.Length];
                await ChangeAsync(_oracle.BeginStampedWrite(range.Offset, data), () => node.WriteAsync(range.Offset, data, WriteFlags.None, token));
                break;
            case 5 or 6:
                ZeroFlags flags = _random.Next(2) == 0 ? ZeroFlags.MayUnmap : ZeroFlags.None;
                await ChangeAsync(_oracle.BeginWriteZeroes(range.Offset, range.Length), () => node.WriteZeroesAsync(range.Offset, range.Length, flags, token));
                break;
            case 7 or 8:
                await ChangeAsync(_oracle.BeginDiscard(range.Offset, range.Length), () => node.DiscardAsync(range.Offset, range.Length, token));
                break;
            case 9:
                await SucceedsAsync(() => PopulateAsync(node, range));
                break;
            case 10 or 11:
                long flush = _oracle.BeginFlush();
                if (await SucceedsAsync(() => node.FlushAsync(token)))
                {
                    _oracle.CompleteFlush(flush);
                }

                break;
            default:
                await SucceedsAsync(() => ReadAsync(node, range));
                break;
        }
    }

    // Stamps do not compress, so the rest of the cluster is zeroes: a stream of each cluster, packed with others.
    private async ValueTask WriteCompressedAsync(Qcow2Node node, ByteRange range)
    {
        int size = _geometry.ClusterSize;
        long offset = Alignment.RoundDown(range.Offset, size);
        byte[] data = new byte[Math.Min(size, _geometry.Length - offset)];
        OracleWrite stamped = _oracle.BeginStampedWrite(offset, data.AsSpan(0, 512));
        OracleWrite? zeroes = data.Length > 512 ? _oracle.BeginWriteZeroes(offset + 512, data.Length - 512) : null;
        bool succeeds = await ChangeAsync(stamped, () => node.WriteAsync(offset, data, WriteFlags.Compressed));
        if (zeroes is not null)
        {
            Settle(zeroes, succeeds);
        }
    }

    private async ValueTask<bool> ChangeAsync(OracleWrite write, Func<ValueTask> request)
    {
        bool succeeds = await SucceedsAsync(request);
        Settle(write, succeeds);
        return succeeds;
    }

    private void Settle(OracleWrite write, bool succeeds)
    {
        if (succeeds)
        {
            _oracle.Complete(write);
        }
        else
        {
            _oracle.Fail(write);
        }
    }

    private async ValueTask<bool> SucceedsAsync(Func<ValueTask> request)
    {
        try
        {
            await request();
            return true;
        }
        catch (BlockLayerException error) when (IsInjected(error) || (_failsOneFlush && error.InnerException is BlockLayerException flush && IsInjected(flush)))
        {
            return false;
        }
        catch (OperationCanceledException cancelled) when (cancelled.CancellationToken.IsCancellationRequested)
        {
            return false;
        }
    }

    private static bool IsInjected(BlockLayerException error) => error.Message.StartsWith("Injected fault", StringComparison.Ordinal);

    private async ValueTask ReadAsync(Qcow2Node node, ByteRange range)
    {
        OracleRead read = _oracle.BeginRead(range.Offset, range.Length);
        byte[] found = new byte[range.Length];
        try
        {
            await node.ReadAsync(range.Offset, found);
        }
        catch
        {
            _oracle.Abandon(read);
            throw;
        }

        _oracle.CompleteRead(read, found);
    }

    // A copy from below stores what a reader sees already: no guest may notice, so the oracle is not told.
    private async ValueTask PopulateAsync(Qcow2Node node, ByteRange range)
    {
        ByteRange whole = range.RoundOut(node.Limits.SubclusterSize);
        whole = new ByteRange(whole.Offset, Math.Min(whole.End, _geometry.Length) - whole.Offset);
        byte[] below = new byte[whole.Length];
        int present = (int)Math.Clamp(_base.Length - whole.Offset, 0, whole.Length);
        _base.AsSpan((int)Math.Min(whole.Offset, _base.Length), present).CopyTo(below);
        await node.PopulateAsync(whole.Offset, below);
    }

    private ByteRange NextRange()
    {
        int sectors = _geometry.Length / 512;
        int first = _random.Next(sectors);
        int most = _random.Next(3) == 0 ? 4 * _geometry.ClusterSize / 512 : 3;
        int count = 1 + _random.Next(Math.Min(most, sectors - first));
        return new ByteRange(first * 512L, count * 512L);
    }

    /// <summary>A node over storage that answers at once, used where nothing runs yet.</summary>
    private sealed class BlockingNode(StorageNode node) : IDisposable
    {
        internal StorageNode Node => node;

        public void Dispose() => node.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }
}
