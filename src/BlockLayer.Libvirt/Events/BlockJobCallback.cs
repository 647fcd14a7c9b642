namespace BlockLayer.Libvirt;

/// <summary>Hears of jobs (<c>virConnectDomainEventBlockJobCallback</c>).</summary>
/// <param name="domain">Whose disk it is.</param>
/// <param name="disk">The disk: a path or a target, by what was registered for.</param>
/// <param name="type">What the job did.</param>
/// <param name="status">What became of it.</param>
public delegate void BlockJobCallback(Domain domain, string disk, BlockJobType type, BlockJobStatus status);
