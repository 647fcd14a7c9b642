namespace BlockLayer.Images;

/// <summary>What makes two images equal.</summary>
public enum CompareMode
{
    /// <summary>The bytes a guest reads; a longer image may end in zeroes.</summary>
    Content,

    /// <summary>The bytes, the sizes, and which runs are allocated, data or zero.</summary>
    Strict,
}
