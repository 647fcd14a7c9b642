using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Guests;

/// <summary>The examples of src/BlockLayer.Simulation/README.md, word for word.</summary>
public sealed class ReadmeTests
{
    [Fact]
    public async Task The_first_example_works()
    {
        // README begins
        var scheduler = new SimulationScheduler(seed: 17);
        var storage = new SimulatedStorageProvider(scheduler);            // requests take no virtual time; SimulatedStorageOptions.Latency gives them some
        BlockEnvironment machine = SimulatedEnvironment.Of(scheduler, storage);
        var image = new NewImage { Format = "qcow2", Length = 1 << 17 };
        Disk disk = scheduler.Run(() => Disk.CreateAsync("/vm/disk", image, new DiskOptions { Environment = machine }).AsTask());

        var oracle = new SectorOracle(disk.Length);                       // what the disk owes its guest
        using var recorder = new CrashRecorder(storage, oracle);          // what a crash could leave
        scheduler.Spawn("guest", () => new OracleGuest(disk.Root, oracle).RunAsync(scheduler.CreateRandom(1), requests: 50));
        scheduler.Run();                                                  // nothing happens outside a run

        long states = await CrashCheck.RunAsync(recorder, async files =>  // reopen each state, read it, hold it against the oracle
        {
            await using Disk reopened = await Disk.OpenAsync("/vm/disk", new DiskOptions { Environment = SimulatedEnvironment.Inline(files) });
            return await OracleGuest.ReadAllAsync(reopened.Root);
        });
        // README ends
        Assert.True(states > 100, $"{states} states");
    }

    [Fact]
    public async Task The_example_with_a_promise_of_its_own_works()
    {
        // README begins
        long promised = 0;                                                // the count that a flush has returned for
        var machine = new SimulatedMachine(seed: 17);
        using var recorder = new CrashRecorder(machine.Storage) { Observe = () => promised };
        machine.Run(async () =>
        {
            await using Disk disk = await machine.CreateAsync("/counter", 1 << 17);
            for (long count = 1; count <= 5; count++)
            {
                byte[] sector = new byte[512];
                BitConverter.TryWriteBytes(sector, count);
                await disk.WriteAsync(0, sector);
                await disk.FlushAsync();
                promised = count;
            }
        });

        await CrashCheck.RunAsync(recorder, async (state, files) =>
        {
            long least = (long)state.Image.Observation!;
            if (least == 0)
            {
                return;                                                   // nothing was promised yet, not even the file
            }

            await using Disk disk = await Disk.OpenAsync("/counter", new DiskOptions { Environment = SimulatedEnvironment.Inline(files) });
            byte[] sector = new byte[512];
            await disk.ReadAsync(0, sector);
            if (BitConverter.ToInt64(sector) < least)                     // what this throws names the state that broke it
            {
                throw new InvalidOperationException($"{BitConverter.ToInt64(sector)} is less than {least}, which was promised.");
            }
        });
        // README ends
        Assert.Equal(5, promised);
    }

    [Fact]
    public void The_readme_shows_what_is_tested()
    {
        string readme = Read("src/BlockLayer.Simulation/README.md");
        string[] examples = Read("tests/BlockLayer.Simulation.Tests/Guests/ReadmeTests.cs").Split("        // README begins\n")[1..];
        Assert.Equal(2, examples.Length);
        foreach (string example in examples)
        {
            string[] lines = example.Split("        // README ends\n")[0].TrimEnd('\n').Split('\n');
            Assert.Contains(string.Join('\n', lines.Select(static line => line.Length > 8 ? line[8..] : line)), readme, StringComparison.Ordinal);
        }
    }

    private static string Read(string path) => File.ReadAllText(Path.Combine(SourceTree.Root, path)).ReplaceLineEndings("\n");
}
