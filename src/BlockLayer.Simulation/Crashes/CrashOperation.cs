namespace BlockLayer.Simulation;

/// <summary>A pending operation as it was when a crash image was captured; the operation itself goes on changing.</summary>
internal readonly record struct CrashOperation(PendingOperation Operation, SectorPattern Extent, bool IsCompleted)
{
    /// <summary>True when a crash can leave a part of it: it is an operation on bytes that has not been cut short already.</summary>
    internal bool CanTear => Operation.CanTear && Extent.IsAll;

    internal long SectorCount => SectorPattern.CountSectors(Operation.Call.Range);

    public override string ToString()
        => $"{Operation}{(IsCompleted ? "" : " (in flight)")}{(Extent.IsAll ? "" : $" (failed after {Extent})")}";
}
