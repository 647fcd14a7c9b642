using BlockLayer.Errors;
using BlockLayer.Primitives;
using BlockLayer.TestKit.Graph;

namespace BlockLayer.Simulation.Tests.Interleavings;

/// <summary>At every step inside an image, lets the scheduler run something else first, and fails some steps.</summary>
internal sealed class RandomSteps(SimulationScheduler scheduler, SeededRandom random, bool fails) : OverlaySteps
{
    internal const string Message = "A failure planned by the test.";

    /// <summary>Whether steps fail.</summary>
    internal bool Fails { get; set; } = fails;

    /// <summary>One step of how many fails.</summary>
    internal int Odds { get; set; } = 12;

    internal override async ValueTask AtAsync(MemoryOverlayNode node, OverlayStep step, ByteRange range)
    {
        await scheduler.StepAsync();
        if (Fails && random.Next(Odds) == 0)
        {
            throw new BlockLayerException(step == OverlayStep.Store ? BlockErrorKind.NoSpace : BlockErrorKind.Io, Message);
        }
    }
}
