namespace BlockLayer.Libvirt;

/// <summary>What a job on a disk does (<c>virDomainBlockJobType</c>).</summary>
public enum BlockJobType
{
    /// <summary>Not known. Since 0.9.4.</summary>
    Unknown = 0,

    /// <summary>Fills the active image from below. Since 0.9.4.</summary>
    Pull = 1,

    /// <summary>Copies the disk and keeps the copy equal until it is told where to go on. Since 0.9.12.</summary>
    Copy = 2,

    /// <summary>Commits images below the active one. Since 0.10.2.</summary>
    Commit = 3,

    /// <summary>Commits the active image and keeps its base equal until it is told where to go on. Since 1.2.6.</summary>
    ActiveCommit = 4,

    /// <summary>Writes a backup. Since 6.0.0.</summary>
    Backup = 5,
}
