namespace BlockLayer.KillHost;

/// <summary>
/// Where a job stops to be killed. <em>The switch</em> is what makes the new chain the disk's: of a pull and a commit below the newest image the write of a header, of a change
/// over to another image the program's own record (<see cref="SwitchRecord"/>).
/// </summary>
internal enum KillPoint
{
    /// <summary>Before a write of the image that is copied into, counted from 0.</summary>
    Copying,

    /// <summary>All is copied: before a write or a flush of the images that the job changes, counted from 0. Guests' are among them until they are held back.</summary>
    Finishing,

    /// <summary>All data is flushed, and the switch is asked for but not made.</summary>
    BeforeSwitch,

    /// <summary>The switch is made and, where it is a header, not flushed.</summary>
    AfterSwitch,

    /// <summary>The header is flushed, or the first flush of a guest is in the image that the disk was changed over to. Nobody has been told of the end.</summary>
    AfterSwitchFlush,

    /// <summary>Success is told, and the images still open.</summary>
    AfterSuccess,
}
