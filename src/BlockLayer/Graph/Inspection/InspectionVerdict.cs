namespace BlockLayer.Graph;

/// <summary>What may be done with a file of unknown origin, from what a bounded look at that one file tells.</summary>
public enum InspectionVerdict
{
    /// <summary>
    /// Opening it opens nothing else, and nothing that was looked at contradicts the format. No proof that every table is sound: that takes a check.
    /// </summary>
    Safe,

    /// <summary>A feature, or a whole format, that this library does not implement: what opening it elsewhere would do is not known.</summary>
    Unsupported,

    /// <summary>Opening it the usual way makes a program open other files, whose names somebody else wrote.</summary>
    ReferencesOtherFiles,

    /// <summary>It is of the format, and fields hold what the format does not allow or what contradicts the file.</summary>
    Damaged,

    /// <summary>It does not start as an image of the format, or of any known one.</summary>
    NotAnImage,
}
