namespace BlockLayer.Graph;

/// <summary>What another file is to the image that names it.</summary>
public enum FileReferenceRole
{
    /// <summary>It shows through where the image holds nothing.</summary>
    Backing,

    /// <summary>It holds the guest's data, which is then written to it.</summary>
    Data,
}
