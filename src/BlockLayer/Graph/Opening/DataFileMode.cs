namespace BlockLayer.Graph;

/// <summary>Whether the second file is opened that an image keeps its data in, such as qcow2's external data file.</summary>
public enum DataFileMode
{
    /// <summary>It is opened, under the policy; the open fails when it cannot be.</summary>
    Open,

    /// <summary>
    /// It is not, where the format can do without: the image tells what its tables say, and every request for the guest's data fails. An add-cow image, which is
    /// nothing without its image file, opens it all the same.
    /// </summary>
    Ignore,
}
