namespace BlockLayer.Libvirt;

/// <summary>Hears how pulls end (the event BLOCK_PULL).</summary>
/// <param name="connection">Through which it was registered.</param>
/// <param name="domain">Whose disk it is.</param>
/// <param name="path">The disk's active image.</param>
/// <param name="status">What became of the pull.</param>
public delegate void BlockPullCallback(LibvirtConnection connection, Domain domain, string path, BlockPullStatus status);
