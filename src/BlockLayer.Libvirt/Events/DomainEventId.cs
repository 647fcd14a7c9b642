namespace BlockLayer.Libvirt;

/// <summary>Kinds of events that can be registered for (<c>virDomainEventID</c>): those that exist here.</summary>
public enum DomainEventId
{
    /// <summary>A job on a disk changed; the disk is named by the path of its active image. Since 0.9.4.</summary>
    BlockJob = 8,

    /// <summary>A disk has another source. Since 0.9.7.</summary>
    DiskChange = 9,

    /// <summary>A job on a disk changed; the disk is named by its target, which outlives a pivot. Since 1.2.6.</summary>
    BlockJob2 = 16,

    /// <summary>A write went beyond a threshold. Since 3.2.0. Never told here.</summary>
    BlockThreshold = 24,
}
