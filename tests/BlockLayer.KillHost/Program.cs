using System.Globalization;
using BlockLayer.Cli;
using BlockLayer.Graph;
using BlockLayer.KillHost;
using BlockLayer.Storage;
using BlockLayer.TestKit;

// POINT COUNT FILE blk ARGUMENT...        one run of blk, stopped at POINT of what it does to FILE
// POINT COUNT FILE guest SEED [BASE]      guests of FILE while it is pulled down to BASE
KillPoint point = Enum.Parse<KillPoint>(args[0]);
string path = args[2];
var report = new Report();
var hook = new KillPointHook(point, int.Parse(args[1], CultureInfo.InvariantCulture), report);
BlockEnvironment environment = BlockEnvironment.Default with { Files = new HookedStorageProvider(LocalStorageProvider.Instance, path, hook) };

if (args[3] == "guest")
{
    long bytesPerSecond = point == KillPoint.Copying ? 1 << 20 : 16 << 20; // the kill at a write comes long before the end
    var guests = new GuestRun(environment, report, ulong.Parse(args[4], CultureInfo.InvariantCulture), bytesPerSecond);
    await guests.RunAsync(path, args.Length > 5 ? args[5] : null).ConfigureAwait(false);
    report.Stop();
}

return await BlkProgram.RunAsync(args[4..], new HostConsole(OnResult), environment).ConfigureAwait(false);

void OnResult(string line)
{
    report.Send(line);
    if (point == KillPoint.AfterSuccess)
    {
        report.Stop();
    }
}
