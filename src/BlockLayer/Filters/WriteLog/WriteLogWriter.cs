using System.Runtime.ExceptionServices;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Filters;

/// <summary>Appends entries to a log's file, one at a time. After one that failed it takes no more: the log would not be true any longer.</summary>
internal sealed class WriteLogWriter
{
    private readonly BlockEdge _file;
    private readonly AsyncLock _turn = new();
    private long _end = WriteLogFileHeader.Size; // guarded by _turn
    private long _number;                        // guarded by _turn
    private Exception? _failure;                 // volatile, changed under _turn

    internal WriteLogWriter(BlockEdge file) => _file = file;

    /// <summary>Begins a log in an empty file, or says that the disk has grown.</summary>
    internal ValueTask WriteHeaderAsync(long diskLength)
    {
        byte[] bytes = new byte[WriteLogFileHeader.Size];
        new WriteLogFileHeader(diskLength).WriteTo(bytes);
        return _file.WriteAsync(0, bytes, CancellationToken.None);
    }

    /// <exception cref="Errors.BlockLayerException">An entry could not be written: what was thrown then.</exception>
    internal void ThrowIfFailed()
    {
        if (Volatile.Read(ref _failure) is { } failure)
        {
            ExceptionDispatchInfo.Throw(failure);
        }
    }

    /// <summary>Appends an entry; its bytes are not kept. Nothing is flushed.</summary>
    internal async ValueTask AppendAsync(WriteLogEntry entry)
    {
        using AsyncLock.Releaser turn = await _turn.EnterAsync().ConfigureAwait(false);
        ThrowIfFailed();
        try
        {
            WriteLogEntryHeader header = WriteLogEntryHeader.Of(entry, _number);
            byte[] bytes = new byte[WriteLogEntryHeader.Size];
            header.WriteTo(bytes);
            await _file.WriteAsync(_end, bytes, CancellationToken.None).ConfigureAwait(false);
            await _file.WriteAsync(_end + WriteLogEntryHeader.Size, entry.Data, CancellationToken.None).ConfigureAwait(false);
            _end += header.EntrySize;
            _number++;
        }
        catch (Exception error)
        {
            Volatile.Write(ref _failure, error);
            throw;
        }
    }

    /// <summary>Makes durable what was appended.</summary>
    internal ValueTask FlushAsync() => _file.FlushAsync(CancellationToken.None);
}
