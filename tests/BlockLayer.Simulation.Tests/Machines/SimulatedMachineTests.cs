using BlockLayer.Images;
using BlockLayer.Primitives;
using Xunit;

namespace BlockLayer.Simulation.Tests.Machines;

/// <summary>A machine after a crash is the same machine, and may run inside the test of the first.</summary>
public class SimulatedMachineTests
{
    [Fact]
    public void A_machine_that_runs_inside_another_leaves_it_its_order()
    {
        var machine = new SimulatedMachine();
        machine.Run(async () =>
        {
            await (await machine.CreateAsync("/disk", 1 << 20)).DisposeAsync();
            SimulatedMachine after = machine.Crash(CrashLoss.Nothing);
            after.Run(async () => await (await Disk.OpenAsync("/disk", after.As("qcow2"))).DisposeAsync());

            var order = new List<string>();
            var completion = new Completion();
            Task waiter = WaitAsync();
            completion.Complete();
            order.Add("completed"); // who waited is woken by a step of its own, not inside the call
            await waiter;
            Assert.Equal(["completed", "woken"], order);

            async Task WaitAsync()
            {
                await completion.WaitAsync();
                order.Add("woken");
            }
        });
    }

    [Fact]
    public void After_a_crash_requests_take_the_time_that_they_took_before_and_do_not_fail()
    {
        var machine = new SimulatedMachine(1, new SimulatedStorageOptions { Latency = new LatencyModel { Fixed = TimeSpan.FromSeconds(1) }, WriteCache = WriteCacheMode.WriteThrough });
        SimulatedMachine? after = null;
        machine.Run(async () =>
        {
            await using (Disk disk = await machine.CreateAsync("/disk", 1 << 20))
            {
                await disk.WriteAsync(0, new byte[512]);
            }

            machine.Storage.Faults.Add(new FaultRule { Operations = StorageOperations.Any });
            after = machine.Crash();
        });

        after!.Run(async () => await (await Disk.OpenAsync("/disk", after.As("qcow2"))).DisposeAsync());
        Assert.True(after.Scheduler.Elapsed >= TimeSpan.FromSeconds(1), $"{after.Scheduler.Elapsed}");
    }
}
