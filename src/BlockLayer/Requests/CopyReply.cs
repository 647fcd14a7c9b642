namespace BlockLayer.Requests;

/// <summary>When a reader that caused a copy gets its bytes.</summary>
public enum CopyReply
{
    /// <summary>As soon as they are fetched; the store follows behind. A flush, a drain and a close wait for it.</summary>
    BeforeStore,

    /// <summary>After the copy is stored, or its store has failed.</summary>
    AfterStore,
}
