using BlockLayer.Graph;
using BlockLayer.Images;
using Xunit;

namespace BlockLayer.Simulation.Tests.Guests;

public sealed class ReadmeTests
{
    /// <summary>The example of src/BlockLayer.Simulation/README.md, word for word.</summary>
    [Fact]
    public async Task The_example_of_the_readme_works()
    {
        var scheduler = new SimulationScheduler(seed: 17);
        var storage = new SimulatedStorageProvider(scheduler);
        BlockEnvironment machine = SimulatedEnvironment.Of(scheduler, storage);
        var image = new NewImage { Format = "qcow2", Length = 1 << 17 };
        Disk disk = scheduler.Run(() => Disk.CreateAsync("/vm/disk", image, new DiskOptions { Environment = machine }).AsTask());

        var oracle = new SectorOracle(disk.Length);                       // what the disk owes its guest
        using var recorder = new CrashRecorder(storage, oracle);          // what a crash could leave
        scheduler.Spawn("guest", () => new OracleGuest(disk.Root, oracle).RunAsync(scheduler.CreateRandom(1), requests: 50));
        scheduler.Run();                                                  // minutes of virtual time, milliseconds of yours

        long states = await CrashCheck.RunAsync(recorder, async files =>  // reopen each state, read it, hold it against the oracle
        {
            await using Disk reopened = await Disk.OpenAsync("/vm/disk", new DiskOptions { Environment = SimulatedEnvironment.Inline(files) });
            return await OracleGuest.ReadAllAsync(reopened.Root);
        });
        Assert.True(states > 100, $"{states} states");
    }
}
