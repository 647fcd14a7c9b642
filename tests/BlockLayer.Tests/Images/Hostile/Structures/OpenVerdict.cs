namespace BlockLayer.Tests.Images.Hostile.Structures;

/// <summary>What must become of a hostile file. Whatever it is, an inspection or a check tells of everything but <see cref="Ok"/>.</summary>
internal enum OpenVerdict
{
    /// <summary>It cannot be trusted to locate data: not even a reader opens it.</summary>
    Reject,

    /// <summary>All of it can be read; a writer is refused at open or at its first change, and what he could have hit is untouched.</summary>
    OpenReadOnly,

    /// <summary>One entry is bad: requests that need it fail, others do not.</summary>
    LocalError,

    /// <summary>Everything can be read and written; inspection or check tells what is wrong.</summary>
    OpenWithWarning,

    /// <summary>The format allows it.</summary>
    Ok,
}
