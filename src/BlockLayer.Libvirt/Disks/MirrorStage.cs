namespace BlockLayer.Libvirt;

/// <summary>How far a copy or active commit is: the attribute <c>ready</c> of <c>&lt;mirror&gt;</c>.</summary>
internal enum MirrorStage
{
    /// <summary>Not ready: there is no such attribute.</summary>
    Copying,

    /// <summary><c>yes</c>: it can pivot.</summary>
    Ready,

    /// <summary><c>pivot</c>: it is switching to the second file.</summary>
    Pivoting,

    /// <summary><c>abort</c>: it is going back to the first.</summary>
    Aborting,
}
