namespace BlockLayer.Formats.Qcow2;

/// <summary>Where the host clusters of an allocation come from.</summary>
internal enum HostOrigin
{
    /// <summary>From behind the end of the file: they read as zeroes.</summary>
    Fresh,

    /// <summary>From inside the file: they hold somebody's old bytes.</summary>
    Recycled,

    /// <summary>They belong to these guest clusters already, as allocated zeroes; they hold old bytes and are not given back on failure.</summary>
    Own,
}
