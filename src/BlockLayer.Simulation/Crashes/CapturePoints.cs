namespace BlockLayer.Simulation;

/// <summary>At which moments of a run a <see cref="CrashRecorder"/> captures what a crash could leave.</summary>
public enum CapturePoints
{
    /// <summary>
    /// Just before each flush makes something durable, and before the guest writes zeroes or discards. With unique guest data this misses no state,
    /// see <see cref="CrashRecorder"/>.
    /// </summary>
    Sufficient,

    /// <summary>
    /// Also after every change was issued and after it completed. For long runs without flushes, of whose many pending operations only a sample of the
    /// subsets is tried, this samples more densely.
    /// </summary>
    EveryOperation,
}
