namespace BlockLayer.Images;

/// <summary>How a target stores data.</summary>
public enum ConvertEncoding
{
    /// <summary>As it is.</summary>
    Plain,

    /// <summary>Each cluster compressed, where the format can.</summary>
    Compressed,
}
