using System.Runtime.CompilerServices;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;

namespace BlockLayer.Simulation;

/// <summary>A disk of a run: its chain, its guests, its operators, and what it owes.</summary>
internal sealed class SystemDisk
{
    private const int Cluster = 4096;
    private const int Length = 64 * Cluster;

    private static readonly Dictionary<string, string> s_clusters = new() { ["cluster_size"] = $"{Cluster}" };

    private readonly SystemRun _run;
    private readonly SystemOptions _options;
    private readonly SeededRandom _random;
    private readonly string _folder;
    private int _files; // names given so far

    private SystemDisk(SystemRun run, SystemOptions options, string folder, SeededRandom random)
    {
        _run = run;
        _options = options;
        _folder = folder;
        _random = random;
    }

    /// <summary>The disk, open.</summary>
    internal Disk Disk { get; private set; } = null!;

    private SectorOracle Oracle { get; set; } = null!;

    internal static async Task<SystemDisk> CreateAsync(SystemRun run, SystemOptions options, int number, SeededRandom random)
    {
        var disk = new SystemDisk(run, options, $"/vm{number}", random);
        byte[] content = new byte[Length];
        string format = disk.PickFormat(bottom: true);
        string top = disk.NewPath();
        await disk.CreateImageAsync(top, format, backing: null, content).ConfigureAwait(false);
        for (int above = random.Next(4); above > 0; above--)
        {
            string overlay = disk.NewPath();
            string overlayFormat = disk.PickFormat(bottom: false);
            await disk.CreateImageAsync(overlay, overlayFormat, new BackingReference(top, format), content).ConfigureAwait(false);
            (top, format) = (overlay, overlayFormat);
        }

        disk.Oracle = new SectorOracle(Length, content);
        disk.Disk = await Disk.OpenAsync(top, disk.As(format)).ConfigureAwait(false);
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
        return new DiskPromise(image.Path!, image.DriverName, Oracle.Snapshot());
    }

    internal DiskOptions As(string format) => new() { Format = format, Formats = _options.Formats, Environment = _run.Machine.Environment };

    /// <summary>A file that does not exist.</summary>
    internal string NewPath() => $"{_folder}/{_files++}";

    /// <summary>A format that can stand at the bottom, or on something.</summary>
    internal string PickFormat(bool bottom) => _random.Next(bottom ? 4 : 3) switch
    {
        0 => "qed",
        3 => "raw",
        _ => "qcow2",
    };

    /// <summary>An overlay for the disk to go on with.</summary>
    internal DiskOverlay NewOverlay()
    {
        string format = PickFormat(bottom: false);
        return new DiskOverlay(Disk, NewPath(), new OverlayOptions { Format = format, CreateOptions = s_clusters, Formats = _options.Formats });
    }

    /// <summary>How an image of a format is made here.</summary>
    internal static NewImage NewImage(string format, BackingReference? backing) => new()
    {
        Format = format,
        Length = Length,
        Backing = backing,
        Options = format == "raw" ? new Dictionary<string, string>() : s_clusters,
    };

    /// <summary>The guests and operators are done: everything is as it is owed, also after a reopen, and every image passes its check.</summary>
    internal async Task CheckAsync()
    {
        await new OracleGuest(Disk.Root, Oracle).ReadAsync(0, Length).ConfigureAwait(false);
        DiskPromise promise = Promise();
        string[] chain = [.. Disk.Chain.Select(image => image.Path!)];
        string[] formats = [.. Disk.Chain.Select(image => image.DriverName)];
        try
        {
            await Disk.DisposeAsync().ConfigureAwait(false);
        }
        catch (BlockLayerException) when (_run.HasFaults)
        {
            // What a fault kept from being written is not owed: the reopened disk is held to what was flushed.
        }

        Disk reopened = await Disk.OpenAsync(promise.Path, As(promise.Format)).ConfigureAwait(false);
        await using ConfiguredAsyncDisposable closing = reopened.ConfigureAwait(false);
        promise.Oracle.Check(await OracleGuest.ReadAllAsync(reopened.Root).ConfigureAwait(false));
        if (!reopened.Chain.Select(image => image.Path!).SequenceEqual(chain))
        {
            throw new InvalidOperationException($"The chain was {string.Join(" -> ", chain)} and is {string.Join(" -> ", reopened.Chain.Select(image => image.Path))} after a reopen.");
        }

        foreach (BlockNode image in reopened.Chain.Where(ImageChecker.CanCheck))
        {
            ImageCheckReport report = await ImageChecker.CheckAsync(image).ConfigureAwait(false);
            if (report.Corruptions != 0)
            {
                throw new InvalidOperationException($"'{image.Path}' has {report.Corruptions} corruptions: {report.Findings[0].Message}");
            }
        }
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

    private async Task CreateImageAsync(string path, string format, BackingReference? backing, byte[] content)
    {
        Disk disk = await Disk.CreateAsync(path, NewImage(format, backing), As(format)).ConfigureAwait(false);
        await using ConfiguredAsyncDisposable closing = disk.ConfigureAwait(false);
        int writes = _random.Next(12);
        for (int i = 0; i < writes; i++)
        {
            int sectors = 1 + _random.Next(32);
            long offset = _random.Next((Length / SectorPattern.SectorSize) - sectors) * (long)SectorPattern.SectorSize;
            byte[] data = GuestStamp.Create(offset, sectors * SectorPattern.SectorSize, writer: (1 << 20) + (_files * 100) + i);
            await disk.WriteAsync(offset, data).ConfigureAwait(false);
            data.CopyTo(content.AsSpan((int)offset));
        }
    }
}
