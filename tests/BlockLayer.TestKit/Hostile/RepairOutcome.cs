using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.TestKit.Hostile;

/// <summary>How a repair went: errors are null for well or not reached.</summary>
internal sealed class RepairOutcome
{
    /// <summary>Hashes of the first pieces of the disk before; null for one that cannot be read; empty if the image could not be opened.</summary>
    internal required List<int?> Before { get; init; }

    /// <summary>The same afterwards.</summary>
    internal List<int?> After { get; set; } = [];

    internal BlockLayerException? Open { get; set; }

    internal BlockLayerException? Repair { get; set; }

    internal BlockLayerException? Close { get; set; }

    /// <summary>What the repair says of itself; null if it failed, or the format has none.</summary>
    internal ImageRepairReport? Report { get; set; }
}
