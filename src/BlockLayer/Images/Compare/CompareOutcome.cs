namespace BlockLayer.Images;

/// <summary>How a comparison ended.</summary>
public enum CompareOutcome
{
    /// <summary>Equal in the sense of the mode.</summary>
    Identical,

    /// <summary>Some bytes differ.</summary>
    ContentDiffers,

    /// <summary>The sizes differ; the contents were not compared.</summary>
    SizeDiffers,

    /// <summary>A run is allocated, data or zero in one and not in the other.</summary>
    AllocationDiffers,
}
