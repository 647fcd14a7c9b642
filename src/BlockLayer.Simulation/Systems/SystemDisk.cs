using System.Runtime.CompilerServices;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Primitives;

namespace BlockLayer.Simulation;

/// <summary>A disk of a run: its chain, its guests, its operators, and what it owes.</summary>
internal sealed class SystemDisk
{
    private const int MaxLength = 256 * 1024; // when the run begins
    private const int Sector = SectorPattern.SectorSize;

    private readonly SystemRun _run;
    private readonly SystemOptions _options;
    private readonly SeededRandom _random;
    private readonly string _folder;
    private int _files; // names given so far
    private bool _isLengthTaken; // by whoever changes it, or needs it to stay

    private SystemDisk(SystemRun run, SystemOptions options, string folder, SeededRandom random)
    {
        _run = run;
        _options = options;
        _folder = folder;
        _random = random;
        Images = new ImageMaker(random.Fork(1));
        Backups = new BackupSeries(run, this, random.Fork(2));
        Snapshots = new SnapshotSeries(run, this, random.Fork(3));
    }

    /// <summary>The disk, open.</summary>
    internal Disk Disk { get; private set; } = null!;

    /// <summary>What guests are owed.</summary>
    internal SectorOracle Oracle { get; private set; } = null!;

    /// <summary>What its images are like.</summary>
    internal ImageMaker Images { get; }

    /// <summary>Its full backup and those that follow.</summary>
    internal BackupSeries Backups { get; }

    /// <summary>The internal snapshots of its newest image.</summary>
    internal SnapshotSeries Snapshots { get; }

    /// <summary>What its operators have started that is not over.</summary>
    internal int JobsAtWork { get; set; }

    /// <summary>A disk with a new chain.</summary>
    internal static async Task<SystemDisk> CreateAsync(SystemRun run, SystemOptions options, int number, SeededRandom random)
    {
        var disk = new SystemDisk(run, options, $"/vm{number}", random);
        var writes = new List<(long Offset, byte[] Data)>();
        int images = 1 + random.Next(6);
        BackingReference? below = null;
        long length = MaxLength - (random.Next(3) == 0 ? random.Next(64) * Sector : 0);
        for (; images > 0; images--)
        {
            string path = disk.NewPath();
            string format = below is null ? disk.Images.PickFormat(bottom: true) : disk.Images.PickOverlayFormat(below.Format!);
            NewImage image = disk.Images.New(format, path, length, below);
            await disk.CreateImageAsync(image, path, writes).ConfigureAwait(false);
            below = new BackingReference(path, format);
            Note(run.Report.Corners, image);
            length += random.Next(4) == 0 ? random.NextInt64(1 + ((MaxLength - length) / Sector)) * Sector : 0;
        }

        disk.Disk = await Disk.OpenAsync(below!.Name, disk.As(below.Format!)).ConfigureAwait(false);
        disk.Oracle = new SectorOracle(disk.Disk.Length);
        foreach ((long offset, byte[] data) in writes)
        {
            disk.Oracle.CompleteDurably(disk.Oracle.BeginWrite(offset, data));
        }

        return disk;
    }

    /// <summary>A disk from what a crash left. What it holds then, which is something that was promised, is owed from now on.</summary>
    internal static async Task<SystemDisk> ReopenAsync(SystemRun run, SystemOptions options, DiskPromise promise, SeededRandom random)
    {
        var disk = new SystemDisk(run, options, promise.Path[..promise.Path.LastIndexOf('/')], random) { _files = promise.Files };
        disk.Disk = await Disk.OpenAsync(promise.Path, disk.As(promise.Format)).ConfigureAwait(false);
        byte[] content = await OracleGuest.ReadAllAsync(disk.Disk.Root).ConfigureAwait(false);
        promise.Oracle.Check(content);
        disk.Oracle = new SectorOracle(content.Length, content);
        return disk;
    }

    /// <summary>Sets guests and operators to work.</summary>
    internal void Spawn()
    {
        for (int guest = 0; guest < _options.Guests; guest++)
        {
            SeededRandom own = _random.Fork((ulong)(100 + guest));
            _run.Machine.Scheduler.Spawn($"{_folder} guest", () => UseAsync(own));
        }

        for (int number = 0; number < _options.Operators; number++)
        {
            var worker = new SystemOperator(_run, this, _options, _random.Fork((ulong)(200 + number)));
            _run.Machine.Scheduler.Spawn($"{_folder} operator", worker.WorkAsync);
        }
    }

    /// <summary>What is owed now.</summary>
    internal DiskPromise Promise()
    {
        BlockNode image = Disk.Chain[0];
        return new DiskPromise(image.Path!, image.DriverName, Oracle.Snapshot(), _files);
    }

    internal DiskOptions As(string format) => new() { Format = format, Formats = _run.Formats, Environment = _run.Machine.Environment, Secrets = ImageMaker.Secrets };

    /// <summary>A file that does not exist.</summary>
    internal string NewPath() => $"{_folder}/{_files++}";

    /// <summary>An overlay for the disk to go on with.</summary>
    internal DiskOverlay NewOverlay()
    {
        string path = NewPath();
        string format = Images.PickOverlayFormat(Disk.Chain[0].DriverName);
        return new DiskOverlay(Disk, path, new OverlayOptions { Format = format, CreateOptions = Images.PickOptions(format, path), Secrets = ImageMaker.Secrets, Formats = _run.Formats });
    }

    /// <summary>A raw file as long as the disk, open to be written.</summary>
    internal async ValueTask<BlockNode> CreateRawAsync(string path)
    {
        var formats = _run.Formats;
        await new ImageCreator(formats, _run.Machine.Environment)
            .CreateAsync(path, new NewImage { Format = "raw", Length = Disk.Length }, OpenPolicy.Default, CancellationToken.None).ConfigureAwait(false);
        return await new ImageOpener(formats, _run.Machine.Environment)
            .OpenAsync(path, new ImageOpenOptions { Format = "raw", Access = NodeAccess.ReadWrite }, CancellationToken.None).ConfigureAwait(false);
    }

    /// <summary>Makes the disk longer. False: somebody else is about to.</summary>
    internal ValueTask<bool> TryGrowAsync(long length) => TryTakeLengthAsync(async () =>
    {
        Oracle.BeginGrow(length);
        await Disk.ResizeAsync(length).ConfigureAwait(false);
        Oracle.CompleteGrow(length);
    });

    /// <summary>Does something for which the disk has to stay as long as it is. False: it is about to grow, or has another length already.</summary>
    internal async ValueTask<bool> TryHoldLengthAsync(long length, Func<ValueTask> action)
        => Oracle.Length == length && await TryTakeLengthAsync(action).ConfigureAwait(false);

    private async ValueTask<bool> TryTakeLengthAsync(Func<ValueTask> action)
    {
        if (_isLengthTaken)
        {
            return false;
        }

        _isLengthTaken = true;
        try
        {
            await action().ConfigureAwait(false);
            return true;
        }
        finally
        {
            _isLengthTaken = false;
        }
    }

    /// <summary>The guests and operators are done: everything is as it is owed, also after a reopen, and every image passes its check.</summary>
    internal async Task CheckAsync()
    {
        await new OracleGuest(Disk.Root, Oracle).ReadAsync(0, (int)Oracle.Length).ConfigureAwait(false);
        DiskPromise promise = Promise();
        string[] chain = [.. Disk.Chain.Select(image => image.Path!)];
        bool isClosedWell = false;
        try
        {
            await Disk.DisposeAsync().ConfigureAwait(false);
            isClosedWell = true;
        }
        catch (BlockLayerException) when (_run.HasFaults)
        {
            // What a fault kept from being written is not owed: the reopened disk is held to what was flushed.
        }

        Disk reopened = await Disk.OpenAsync(promise.Path, As(promise.Format)).ConfigureAwait(false);
        await using ConfiguredAsyncDisposable closing = reopened.ConfigureAwait(false);
        using PooledBuffer content = await OracleGuest.RentAllAsync(reopened.Root).ConfigureAwait(false);
        promise.Oracle.Check(content.Span);

        // A header whose write failed may name the old chain or the new one, which both read right, until a flush or the close has put it back.
        if (isClosedWell && !reopened.Chain.Select(image => image.Path!).SequenceEqual(chain))
        {
            throw new InvalidOperationException($"The chain was {string.Join(" -> ", chain)} and is {string.Join(" -> ", reopened.Chain.Select(image => image.Path))} after a reopen.");
        }

        await DiskPromise.CheckImagesAsync(reopened).ConfigureAwait(false);
    }

    private async Task UseAsync(SeededRandom random)
    {
        var guest = new OracleGuest(Disk.Root, Oracle);
        var profile = new GuestProfile { MaxLength = 16 * 1024 };
        for (int i = 0; i < _options.Requests; i++)
        {
            _run.Report.Requests++;
            try
            {
                await guest.RunAsync(random, requests: 1, profile).ConfigureAwait(false);
            }
            catch (BlockLayerException) when (_run.HasFaults)
            {
                _run.Report.FailedRequests++;
            }

            if (random.Next(8) == 0)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(random.Next(20)), _run.Machine.Scheduler.Time).ConfigureAwait(false);
            }
        }
    }

    private static void Note(CornerCounts corners, NewImage image)
    {
        Corner? corner = image.Format switch
        {
            "qed" => Corner.QedImages,
            "add-cow" => Corner.AddCowImages,
            _ when image.Options.ContainsKey("data_file") => Corner.DataFileImages,
            _ when image.Options.ContainsKey("encryption") || image.Options.ContainsKey("encrypt.format") => Corner.EncryptedImages,
            _ => null,
        };
        if (corner is { } there)
        {
            corners.Visit(there);
        }
    }

    private async Task CreateImageAsync(NewImage image, string path, List<(long Offset, byte[] Data)> made)
    {
        Disk disk = await Disk.CreateAsync(path, image, As(image.Format)).ConfigureAwait(false);
        await using ConfiguredAsyncDisposable closing = disk.ConfigureAwait(false);
        int writes = _random.Next(12);
        for (int i = 0; i < writes; i++)
        {
            int sectors = 1 + _random.Next(32);
            long offset = _random.NextInt64((disk.Length / Sector) - sectors) * Sector;
            byte[] data = GuestStamp.Create(offset, sectors * Sector, writer: (1 << 20) + (_files * 100) + i);
            await disk.WriteAsync(offset, data).ConfigureAwait(false);
            made.Add((offset, data));
        }
    }
}
