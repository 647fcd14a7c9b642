namespace BlockLayer.Errors;

/// <summary>What went wrong, in the few classes a caller branches on. People read the message instead.</summary>
public enum BlockErrorKind
{
    /// <summary>The storage below failed to read, write or flush.</summary>
    Io,

    /// <summary>The storage below has no room left.</summary>
    NoSpace,

    /// <summary>A write to something that was opened, or must be treated, as read-only.</summary>
    ReadOnly,

    /// <summary>A request outside the virtual disk.</summary>
    OutOfRange,

    /// <summary>The bytes are not an image of the expected format, or a field holds a value that the format does not allow.</summary>
    InvalidFormat,

    /// <summary>The image was valid once and is damaged now.</summary>
    Corrupt,

    /// <summary>A valid image that uses a feature this library does not implement. The message names the feature.</summary>
    Unsupported,

    /// <summary>The open policy or the operating system refused access.</summary>
    Denied,

    /// <summary>Somebody else uses what was asked for: a lock, a frozen part of a chain, a running job.</summary>
    Conflict,

    /// <summary>The named file, node or base does not exist.</summary>
    NotFound,
}
