using BlockLayer.Storage;
using BlockLayer.TestKit.Contracts;

namespace BlockLayer.Simulation.Tests.Disks;

public sealed class InlineSimulatedFileContract : StorageContract
{
    protected override StorageProvider Provider { get; } = new SimulatedStorageProvider();

    protected override string PathOf(string name) => "/images/" + name;
}

public sealed class ScheduledSimulatedFileContract : StorageContract
{
    private readonly SimulationScheduler _scheduler = new(20);

    public ScheduledSimulatedFileContract() => Provider = new SimulatedStorageProvider(_scheduler);

    protected override StorageProvider Provider { get; }

    protected override string PathOf(string name) => "/images/" + name;

    protected override Task RunAsync(Func<Task> body)
    {
        _scheduler.Run(body);
        return Task.CompletedTask;
    }
}

public sealed class SimulatedProviderContract : StorageProviderContract
{
    private readonly SimulationScheduler _scheduler = new(30);

    public SimulatedProviderContract() => Provider = new SimulatedStorageProvider(_scheduler);

    protected override StorageProvider Provider { get; }

    protected override string PathOf(string name) => "/images/" + name;

    protected override Task RunAsync(Func<Task> body)
    {
        _scheduler.Run(body);
        return Task.CompletedTask;
    }
}
