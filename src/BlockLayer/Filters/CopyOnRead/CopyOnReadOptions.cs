using BlockLayer.Requests;

namespace BlockLayer.Filters;

/// <summary>How copies are made on read.</summary>
public sealed record CopyOnReadOptions
{
    /// <summary>Who waits for whom, and when readers are answered.</summary>
    public CopyStrategy Strategy { get; init; } = CopyStrategy.Cancel;

    /// <summary>Bytes that copies in flight may hold; one copy unit always fits. A guest's read that gets no memory is read through.</summary>
    public long MemoryLimit { get; init; } = 16 * 1024 * 1024;

    /// <summary>A background job starts its next step only while fewer guest requests than this are waiting, but at least one step every 100 ms.</summary>
    public int GuestsFirst { get; init; } = 1;
}
