namespace BlockLayer.Libvirt;

/// <summary>The second file of a copy or active commit, as <c>&lt;mirror&gt;</c> describes it while the job runs.</summary>
/// <param name="Job">Copy or active commit.</param>
/// <param name="Source">Where the guest's data goes to besides.</param>
/// <param name="Format">Its format.</param>
/// <param name="State">How far it is.</param>
internal sealed record DiskMirror(BlockJobType Job, DiskSource Source, string Format, MirrorStage State);
