using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Storage;

namespace BlockLayer.Simulation;

/// <summary>Makes the environments in which nodes, disks and jobs live when they are simulated.</summary>
public static class SimulatedEnvironment
{
    /// <summary>A simulated machine: its files, its clock, its CPU work, and buffers of its own, so that they can be counted.</summary>
    public static BlockEnvironment Of(SimulationScheduler scheduler, SimulatedStorageProvider files)
        => new() { Files = files, Work = scheduler.Work, Time = scheduler.Time, Buffers = new BufferPool() };

    /// <summary>
    /// A machine that answers everything at once and whose clock stands still: for looking at storage that completes inline, such as a state after a
    /// crash. No scheduler has to be driven.
    /// </summary>
    public static BlockEnvironment Inline(SimulatedStorageProvider files)
        => new() { Files = files, Work = InlineWorkScheduler.Instance, Time = new SimulationScheduler(seed: 0).Time };
}
