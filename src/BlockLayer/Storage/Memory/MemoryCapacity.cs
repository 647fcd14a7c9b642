namespace BlockLayer.Storage;

/// <summary>The room of a file system in memory, shared by its files and counted in pages. Free-threaded.</summary>
internal sealed class MemoryCapacity(long limitInBytes)
{
    private long _usedPages; // interlocked

    /// <summary>Bytes in use.</summary>
    internal long Used => Interlocked.Read(ref _usedPages) * SparsePages.PageSize;

    /// <summary>Takes room for so many pages, or none.</summary>
    internal bool TryTake(long pages)
    {
        long used = Interlocked.Read(ref _usedPages);
        while (pages <= (limitInBytes / SparsePages.PageSize) - used)
        {
            long seen = Interlocked.CompareExchange(ref _usedPages, used + pages, used);
            if (seen == used)
            {
                return true;
            }

            used = seen;
        }

        return false;
    }

    /// <summary>Gives room back.</summary>
    internal void Return(long pages) => Interlocked.Add(ref _usedPages, -pages);
}
