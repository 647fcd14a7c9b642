namespace BlockLayer.Formats.Qcow2;

/// <summary>Why a backing file name cannot be changed in place.</summary>
internal enum BackingChangeRefusal
{
    /// <summary>It can.</summary>
    None,

    /// <summary>The name exceeds 1023 bytes of UTF-8, or the format's name 15.</summary>
    TooLong,

    /// <summary>The first cluster has no room for the name beside the old one and the extensions.</summary>
    NoRoom,

    /// <summary>Other extensions reach past the first sector and would have to move, so a crash could tear them.</summary>
    ExtensionsInTheWay,
}
