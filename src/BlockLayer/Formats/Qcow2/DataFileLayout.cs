namespace BlockLayer.Formats.Qcow2;

/// <summary>What an external data file is to be by itself.</summary>
public enum DataFileLayout
{
    /// <summary>Clusters at their guest offsets, of which only the image says which count.</summary>
    Clusters,

    /// <summary>A raw disk that can be read without the image. Zeroes are written to it, so they cost more, and the image can have no backing file.</summary>
    Raw,
}
