namespace BlockLayer.Jobs;

/// <summary>What an image has to store so that it reads as before.</summary>
internal enum CopyNeed
{
    /// <summary>Nothing: what lies below reads the same.</summary>
    Nothing,

    /// <summary>Zeroes.</summary>
    Zeroes,

    /// <summary>Data.</summary>
    Data,
}
