namespace BlockLayer.TestKit.Graph;

/// <summary>A point inside a <see cref="MemoryOverlayNode"/> where something else may run, or a test may fail the request.</summary>
public enum OverlayStep
{
    /// <summary>A read has decided where its bytes are and is about to take them.</summary>
    Read,

    /// <summary>A write, zeroes or a discard in place is about to change its bytes.</summary>
    Write,

    /// <summary>A new cluster is recorded as in flight and its content is about to be stored.</summary>
    Store,

    /// <summary>A new cluster's content is stored and it is about to become visible.</summary>
    Publish,

    /// <summary>A flush is about to make things durable.</summary>
    Flush,

    /// <summary>A new backing reference is about to be recorded.</summary>
    Record,
}
