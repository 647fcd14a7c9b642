namespace BlockLayer.Simulation.Tests.Interleavings;

/// <summary>What goes wrong in a run.</summary>
public enum CopyWorldFaults
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>Reads, stores and flushes fail now and then.</summary>
    Failures,

    /// <summary>The image stores copies without looking again whether a guest was faster: a bug that the tests must find.</summary>
    BlindPopulate,
}
