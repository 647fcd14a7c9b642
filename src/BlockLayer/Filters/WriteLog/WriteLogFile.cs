using System.Runtime.CompilerServices;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Filters;

/// <summary>A write log in a file, to read and to replay. Entries stand in the order in which the changes took effect; a flush says how many of them it covers.</summary>
/// <remarks>
/// The log ends with its last whole entry. A crash of the process that wrote it may leave a part of another one: <see cref="DamagedAt"/> says where.
/// </remarks>
public sealed class WriteLogFile
{
    private readonly BlockNode _file;

    private WriteLogFile(BlockNode file, long diskLength)
    {
        _file = file;
        DiskLength = diskLength;
    }

    /// <summary>The longest that the logged disk has been, in bytes: what a target of the whole replay has to have.</summary>
    public long DiskLength { get; }

    /// <summary>After a reading that came to the end: the byte of the file from which on there is something that is no whole entry; null if there is nothing.</summary>
    public long? DamagedAt { get; private set; }

    /// <summary>Opens a log; the file stays the caller's.</summary>
    /// <exception cref="ImageFormatException">It is no write log, a damaged one, or one of a later version.</exception>
    /// <exception cref="BlockLayerException">Io.</exception>
    public static async ValueTask<WriteLogFile> OpenAsync(BlockNode file, CancellationToken cancellationToken = default)
    {
        byte[] bytes = new byte[WriteLogFileHeader.Size];
        await file.ReadPaddedAsync(Origin.Door, 0, bytes, ReadFlags.None, cancellationToken).ConfigureAwait(false);
        try
        {
            return new WriteLogFile(file, WriteLogFileHeader.Parse(bytes).DiskLength);
        }
        catch (ImageFormatException error)
        {
            throw error.WithPath(file.Path ?? file.NodeName);
        }
    }

    /// <summary>Reads the entries from the first to the last whole one. One entry at a time is in memory.</summary>
    public async IAsyncEnumerable<WriteLogEntry> ReadAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        byte[] bytes = new byte[WriteLogEntryHeader.Size];
        long end = _file.Length;
        DamagedAt = null;
        long number = 0;
        for (long at = WriteLogFileHeader.Size; at < end; number++)
        {
            await _file.ReadPaddedAsync(Origin.Door, at, bytes, ReadFlags.None, cancellationToken).ConfigureAwait(false);
            long dataAt = at + WriteLogEntryHeader.Size;
            if (WriteLogEntryHeader.Parse(bytes, DiskLength) is not { } header || header.Number != number || dataAt > end || header.DataLength > end - dataAt)
            {
                DamagedAt = at;
                yield break;
            }

            byte[] data = new byte[header.DataLength];
            await _file.ReadAsync(dataAt, data, ReadFlags.None, cancellationToken).ConfigureAwait(false);
            if (Crc32C.Compute(data) != header.DataChecksum)
            {
                DamagedAt = at;
                yield break;
            }

            yield return new WriteLogEntry(header.Kind, header.Range, data) { Covers = header.Covers };
            at += header.EntrySize;
        }
    }

    /// <summary>How many entries there are up to and with the first mark of this name; null if there is none.</summary>
    public async ValueTask<long?> FindMarkAsync(string name, CancellationToken cancellationToken = default)
    {
        long count = 0;
        await foreach (WriteLogEntry entry in ReadAsync(cancellationToken).ConfigureAwait(false))
        {
            count++;
            if (entry.Kind == WriteLogKind.Mark && entry.Name == name)
            {
                return count;
            }
        }

        return null;
    }

    /// <summary>Carries out the first entries on <paramref name="target"/>, which starts as the logged disk did.</summary>
    /// <param name="target">At least as long as the disk was.</param>
    /// <param name="count">How many; all of them if the log has fewer.</param>
    /// <param name="cancellationToken">Honoured between entries.</param>
    /// <returns>How many were carried out.</returns>
    /// <exception cref="BlockLayerException">OutOfRange (the target is shorter), ReadOnly, NoSpace, Io.</exception>
    public async ValueTask<long> ReplayAsync(BlockNode target, long count = long.MaxValue, CancellationToken cancellationToken = default)
    {
        long done = 0;
        await foreach (WriteLogEntry entry in ReadAsync(cancellationToken).ConfigureAwait(false))
        {
            if (done == count)
            {
                break;
            }

            await WriteLogNode.ApplyAsync(entry, target, cancellationToken).ConfigureAwait(false);
            done++;
        }

        return done;
    }
}
