namespace BlockLayer.Libvirt;

/// <summary>How an overlay records the base that a job leaves below it.</summary>
internal enum RecordedName
{
    /// <summary>By its absolute path.</summary>
    Absolute,

    /// <summary>By a name relative to the overlay's own folder (the flag RELATIVE); refused where none can be derived.</summary>
    Relative,
}
