using BlockLayer.Graph;

namespace BlockLayer.Formats.Qed;

/// <summary>What a check found: the report for whoever asked, and its corruptions apart, because a repair can help against one kind of them only.</summary>
/// <param name="Report">Counted as qemu-img check counts.</param>
/// <param name="BadOffsets">Entries, in tables of either level, that cannot be followed. A repair clears them.</param>
/// <param name="SharedClusters">References to clusters that something else refers to already. No repair can tell who is right.</param>
internal sealed record QedCheckResult(ImageCheckReport Report, long BadOffsets, long SharedClusters);
