namespace BlockLayer.Libvirt;

/// <summary>What a start does when a disk's file is missing: the attribute <c>startupPolicy</c> of its source.</summary>
public enum StartupPolicy
{
    /// <summary>Fail. The default.</summary>
    Mandatory,

    /// <summary>Fail too: it differs from <see cref="Mandatory"/> for migrations alone, which do not exist here.</summary>
    Requisite,

    /// <summary>Go on without: a drive is empty then, a hard disk is left out.</summary>
    Optional,
}
