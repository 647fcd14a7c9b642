using System.Globalization;
using BlockLayer.Cli;
using BlockLayer.Graph;
using BlockLayer.KillHost;
using BlockLayer.Storage;
using BlockLayer.TestKit;

// POINT COUNT FILE blk ARGUMENT...        one run of blk, stopped at POINT of what it does to FILE
// POINT COUNT FILE guest SEED JOB...      guests of FILE while a job works on it (HostJob.Parse)
// POINT COUNT FOLDER snapshot SEED WORK   guests of a domain in FOLDER while its snapshot is made or deleted
KillPoint point = Enum.Parse<KillPoint>(args[0]);
string path = args[2];
var report = new Report();
var stage = new KillStage(point, int.Parse(args[1], CultureInfo.InvariantCulture), report);
if (args[3] == "snapshot")
{
    await SnapshotRun.RunAsync(path, ulong.Parse(args[4], CultureInfo.InvariantCulture), args[5], stage, report).ConfigureAwait(false);
    report.Stop();
}

var record = new SwitchRecord(stage, report);
HostJob? job = args[3] == "guest" ? HostJob.Parse(path, args[5..], record) : null;
string copiesInto = job?.CopiesInto ?? path;
StorageProvider files = new HookedStorageProvider(LocalStorageProvider.Instance, path, new HeaderHook(stage));
files = new HookedStorageProvider(files, copiesInto, new CopyHook(stage, record));
foreach (string changed in new HashSet<string> { path, copiesInto })
{
    files = new HookedStorageProvider(files, changed, new CallHook(stage));
}

BlockEnvironment environment = BlockEnvironment.Default with { Files = files };

if (job is not null)
{
    long bytesPerSecond = point == KillPoint.Copying ? 1 << 20 : 16 << 20; // the kill at a write comes long before the end
    var guests = new GuestRun(environment, report, ulong.Parse(args[4], CultureInfo.InvariantCulture), bytesPerSecond);
    await guests.RunAsync(path, job, stage).ConfigureAwait(false);
    report.Stop();
}

return await BlkProgram.RunAsync(args[4..], new HostConsole(OnResult), environment).ConfigureAwait(false);

void OnResult(string line)
{
    report.Send(line);
    stage.On(KillPoint.AfterSuccess);
}
