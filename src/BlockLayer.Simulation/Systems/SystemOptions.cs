using BlockLayer.Graph;
using BlockLayer.Jobs;

namespace BlockLayer.Simulation;

/// <summary>How large a <see cref="SystemRun"/> is.</summary>
public sealed record SystemOptions
{
    /// <summary>Most disks of a run, each with a chain of one to six images; the seed decides.</summary>
    public int MaxDisks { get; init; } = 2;

    /// <summary>Guests of each disk.</summary>
    public int Guests { get; init; } = 2;

    /// <summary>Requests of each guest.</summary>
    public int Requests { get; init; } = 60;

    /// <summary>Operators of each disk: they start jobs, one after the other, so this many may run at once.</summary>
    public int Operators { get; init; } = 2;

    /// <summary>Jobs that each operator starts.</summary>
    public int Jobs { get; init; } = 3;

    /// <summary>Whether storage may be made to fail; the seed decides whether it is, in half of the runs.</summary>
    public bool Faults { get; init; } = true;

    /// <summary>Moments at which the power fails, sampled by the seed: each is a crash that is checked, while the run goes on.</summary>
    public int CrashPoints { get; init; } = 4;

    /// <summary>States that are tried of what such a crash could leave.</summary>
    public int StatesPerCrash { get; init; } = 4;

    /// <summary>Is told what operators do and what becomes of it, a line each; null: nobody wants to know.</summary>
    public Action<string>? Trace { get; init; }

    /// <summary>The formats that are known; null: the library's own, with large or with small caches as the seed decides. Tests put broken ones here and see that the runs notice.</summary>
    internal FormatRegistry? Formats { get; init; }

    /// <summary>How pulls make sure that they have copied everything. Tests put a broken one here.</summary>
    internal CopiedCheck CopiedCheck { get; init; } = CopiedCheck.Walk;

    /// <summary>What else a test breaks, once the disks are open.</summary>
    internal Action<SystemRun>? Sabotage { get; init; }
}
