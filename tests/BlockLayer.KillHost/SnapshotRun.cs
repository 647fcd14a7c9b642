using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Libvirt;
using BlockLayer.Simulation;
using BlockLayer.Storage;
using BlockLayer.TestKit;

namespace BlockLayer.KillHost;

/// <summary>
/// A domain of two disks on real files, vda at a.qcow2 and vdb at b.qcow2, whose snapshot is made, or deleted, while guests write both. Lines of a guest begin with its disk's target.
/// </summary>
internal static class SnapshotRun
{
    /// <summary>The line that says that the snapshot is going to be made, or deleted.</summary>
    internal const string Begun = "begun";

    /// <summary>What is done to the snapshot while guests write without an end.</summary>
    internal const string Create = "create";

    /// <inheritdoc cref="Create"/>
    internal const string Delete = "delete";

    /// <summary>What the snapshot is called.</summary>
    internal const string Snapshot = "s1";

    private const int RequestsBefore = 40;

    /// <summary>The disks, and their first files.</summary>
    internal static IReadOnlyDictionary<string, string> Disks { get; } = new SortedDictionary<string, string> { ["vda"] = "a.qcow2", ["vdb"] = "b.qcow2" };

    /// <summary>Where the notes about snapshots lie.</summary>
    internal static string NotesIn(string folder) => Path.Combine(folder, "notes");

    internal static LibvirtHost OpenHost(string folder, BlockEnvironment? environment = null) => new(new LibvirtHostOptions
    {
        Disks = new DiskOptions { Environment = environment ?? BlockEnvironment.Default },
        SnapshotFolder = NotesIn(folder),
        ImageFolders = [folder],
    });

    /// <summary>The domain as it was first defined, started: what a crash has left of a creation or deletion is finished or taken back.</summary>
    internal static async Task<Domain> StartAsync(LibvirtConnection connection, string folder)
    {
        IEnumerable<string> disks = Disks.Select(disk =>
            $"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{Path.Combine(folder, disk.Value)}'/><target dev='{disk.Key}'/></disk>");
        Domain domain = connection.Define($"<domain type='qemu'><name>vm</name><devices>{string.Concat(disks)}</devices></domain>");
        await connection.StartAsync(domain).ConfigureAwait(false);
        return domain;
    }

    /// <summary>What makes the snapshot.</summary>
    /// <param name="seed">Decides which way each disk is merged.</param>
    internal static string Xml(ulong seed)
    {
        IEnumerable<string> disks = Disks.Keys.Select((target, i) =>
            $"<disk name='{target}' snapshot='external'><on_delete merge='{((seed >> i) % 2 == 0 ? "forward" : "backward")}'/></disk>");
        return $"<domainsnapshot><name>{Snapshot}</name><disks>{string.Concat(disks)}</disks></domainsnapshot>";
    }

    /// <summary>Ends some requests after the snapshot was made or deleted.</summary>
    /// <param name="folder">Where the files are.</param>
    /// <param name="seed">Of the guests, and of which way each disk is merged.</param>
    /// <param name="work"><see cref="Create"/> or <see cref="Delete"/>.</param>
    /// <param name="stage">Where the process stops.</param>
    /// <param name="report">Where the lines go.</param>
    internal static async Task RunAsync(string folder, ulong seed, string work, KillStage stage, Report report)
    {
        var notes = new NotesHook(stage, notesBefore: 1);
        StorageProvider files = new HookedStorageProvider(LocalStorageProvider.Instance, Path.Combine(NotesIn(folder), "vm.snapshots.xml.new"), notes);
        foreach (string image in Disks.Values.Concat(Disks.Values.Select(static first => Path.ChangeExtension(first, Snapshot))))
        {
            files = new HookedStorageProvider(files, Path.Combine(folder, image), new CallHook(stage));
        }

        LibvirtHost host = OpenHost(folder, BlockEnvironment.Default with { Files = files });
        LibvirtConnection connection = host.Connect();
        Domain domain = await StartAsync(connection, folder).ConfigureAwait(false);
        var snapshots = new SnapshotApi(connection);
        var random = new SeededRandom(seed);
        (ReportingGuest Guest, SeededRandom Random)[] guests =
            [.. Disks.Keys.Select((target, i) => (new ReportingGuest(domain.FindDisk(target).Open!, line => report.Send($"{target} {line}")), random.Fork((ulong)i)))];
        await AllAsync(RequestsBefore).ConfigureAwait(false);
        if (work == Delete)
        {
            await snapshots.CreateAsync(domain, Xml(seed)).ConfigureAwait(false);
        }

        await AllAsync(RequestsBefore).ConfigureAwait(false);
        Task endless = AllAsync(int.MaxValue);
        report.Send(Begun);
        notes.Begin();
        Task done = work == Delete ? snapshots.DeleteAsync(domain, Snapshot).AsTask() : snapshots.CreateAsync(domain, Xml(seed)).AsTask();
        await await Task.WhenAny(done, endless).ConfigureAwait(false); // guests end only by failing
        report.Send(GuestRun.Told);
        await guests[0].Guest.RunAsync(random, RequestsBefore).ConfigureAwait(false);

        Task AllAsync(int requests) => Task.WhenAll(guests.Select(each => Task.Run(() => each.Guest.RunAsync(each.Random, requests))));
    }
}
