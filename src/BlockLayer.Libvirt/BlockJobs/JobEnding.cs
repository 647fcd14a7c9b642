namespace BlockLayer.Libvirt;

/// <summary>How a caller wants a job to end.</summary>
internal enum JobEnding
{
    /// <summary>Where it is: a pull or commit stops, a copy or active commit goes back to the first file.</summary>
    Abort,

    /// <summary>With the disk on the copy, or on the base of an active commit.</summary>
    Pivot,
}
