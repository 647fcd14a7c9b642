namespace BlockLayer.Simulation;

/// <summary>What happens to a call that a fault rule chose.</summary>
public enum FaultEffect
{
    /// <summary>It fails and nothing was done. What a failed flush would have written stays dirty.</summary>
    Fail,

    /// <summary>
    /// It fails after a part was done: of a write or write-zeroes, seeded sectors; of a flush, seeded operations, and the rest is dropped so that no
    /// later flush writes it (the pages were marked clean). Reads, and operations without parts, fail as with <see cref="Fail"/>.
    /// </summary>
    FailPartly,

    /// <summary>It is done whole and reports failure all the same.</summary>
    FailAfterwards,

    /// <summary>It reports success and nothing was done: a lying flush, a lost write. A read leaves its buffer as it was.</summary>
    Lie,

    /// <summary>It never completes.</summary>
    Hang,

    /// <summary>It takes <see cref="FaultRule.Delay"/> longer and then succeeds.</summary>
    Slow,
}
