namespace BlockLayer.Formats.Qcow2;

/// <summary>A part of a table that is written back. It is told what became durable, so that a change made meanwhile stays dirty.</summary>
internal interface IDirtyTable
{
    /// <summary>The content that <see cref="TableWrite.Version"/> stood for is on disk. The caller holds the allocation lock.</summary>
    /// <param name="key">The <see cref="TableWrite.Key"/>.</param>
    /// <param name="version">The <see cref="TableWrite.Version"/>.</param>
    void Written(long key, long version);
}
