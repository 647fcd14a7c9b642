namespace BlockLayer.Formats.Qcow2;

/// <summary>Where the host clusters of an allocation come from.</summary>
internal enum HostOrigin
{
    /// <summary>From inside the file, or taken before and given back: they hold somebody's old bytes.</summary>
    Recycled,

    /// <summary>From behind the end of the file, never taken before: they read as zeroes.</summary>
    Fresh,

    /// <summary>
    /// They belong to these guest clusters already, as allocated zeroes or as their place in a data file; they hold old bytes and are not given back on failure.
    /// </summary>
    Own,
}
