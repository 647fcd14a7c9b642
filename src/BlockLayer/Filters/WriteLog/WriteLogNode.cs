using System.Text;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;
using BlockLayer.Storage;

namespace BlockLayer.Filters;

/// <summary>
/// A filter that remembers every change that went through it, in memory or in a file, in an order in which the changes took effect, so that any moment can be
/// replayed onto another node.
/// </summary>
/// <remarks>
/// Overlapping changes go below one after the other, so the log's order is the real one where it matters. A change that fails is not logged: it may
/// have left its bytes or not. Copies from the backing file change nothing that is read, and are not logged. A guest is answered when its change is in the
/// log; when the log cannot be written, its change fails although the node below has it, and later ones are refused.
/// </remarks>
public sealed class WriteLogNode : FilterNode
{
    private readonly RangeClaims _claims = new();
    private readonly Lock _gate = new();
    private readonly List<WriteLogEntry> _entries = []; // guarded by _gate; empty where the log is in a file
    private WriteLogWriter? _file;                      // constant once open
    private long _changes;                              // guarded by _gate; logged so far

    /// <summary>Puts the filter on a node, with a log in memory, and takes over the caller's ownership of the node.</summary>
    public WriteLogNode(BlockNode child)
        : base(
            child.NodeName,
            child,
            ImagePermissions.ConsistentRead | ImagePermissions.Write | ImagePermissions.WriteUnchanged | ImagePermissions.Resize,
            ImagePermissions.ConsistentRead | ImagePermissions.WriteUnchanged)
    {
    }

    /// <inheritdoc/>
    public override string DriverName => "write-log";

    /// <summary>What has been logged so far; nothing where the log is in a file.</summary>
    public IReadOnlyList<WriteLogEntry> Entries
    {
        get
        {
            lock (_gate)
            {
                return [.. _entries];
            }
        }
    }

    /// <summary>Puts the filter on a node with a log in a file, which it begins anew. On success the filter owns both, on failure the caller still does.</summary>
    /// <param name="child">The node.</param>
    /// <param name="file">An empty file; <see cref="WriteLogFile"/> reads it afterwards.</param>
    /// <exception cref="BlockLayerException">Conflict: the file is not empty, or somebody else uses a node. ReadOnly, NoSpace, Io.</exception>
    public static async ValueTask<WriteLogNode> CreateAsync(BlockNode child, BlockNode file)
    {
        if (file.Length > 0)
        {
            throw new BlockLayerException(BlockErrorKind.Conflict, $"'{file.NodeName}' holds {file.Length} bytes already; a write log begins in an empty file.")
            {
                NodeName = file.NodeName,
                Path = file.Path,
            };
        }

        var node = new WriteLogNode(child);
        bool tookFile = false;
        try
        {
            BlockEdge edge = node.Attach(
                file,
                EdgeRole.Log,
                ImagePermissions.ConsistentRead | ImagePermissions.Write | ImagePermissions.Resize,
                ImagePermissions.ConsistentRead);
            tookFile = true;
            var writer = new WriteLogWriter(edge);
            await writer.WriteHeaderAsync(child.Length).ConfigureAwait(false);
            node._file = writer;
        }
        catch
        {
            child.AddReference(); // the caller's, which the failed filter would let go
            if (tookFile)
            {
                file.AddReference();
            }

            await node.DisposeAsync().ConfigureAwait(false);
            throw;
        }

        return node;
    }

    /// <summary>Carries out the first <paramref name="count"/> entries of a log on <paramref name="target"/>, which starts as the logged node did.</summary>
    /// <param name="entries">The log.</param>
    /// <param name="count">How many; at most all.</param>
    /// <param name="target">A node of at least the logged length.</param>
    /// <param name="cancellationToken">Honoured between entries.</param>
    public static async ValueTask ReplayAsync(IReadOnlyList<WriteLogEntry> entries, int count, BlockNode target, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, entries.Count);
        foreach (WriteLogEntry entry in entries.Take(count))
        {
            await ApplyAsync(entry, target, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Names this moment in the log.</summary>
    /// <exception cref="BlockLayerException">The log could not be written.</exception>
    public ValueTask MarkAsync(string name) => LogAsync(new WriteLogEntry(WriteLogKind.Mark, default, Encoding.UTF8.GetBytes(name)));

    internal static ValueTask ApplyAsync(WriteLogEntry entry, BlockNode target, CancellationToken cancellationToken) => entry.Kind switch
    {
        WriteLogKind.Write => target.WriteAsync(entry.Range.Offset, entry.Data, WriteFlags.None, cancellationToken),
        WriteLogKind.Zeroes => target.WriteZeroesAsync(entry.Range.Offset, entry.Range.Length, ZeroFlags.None, cancellationToken),
        WriteLogKind.Discard => target.DiscardAsync(entry.Range.Offset, entry.Range.Length, cancellationToken),
        WriteLogKind.Flush => target.FlushAsync(cancellationToken),
        _ => ValueTask.CompletedTask,
    };

    private protected override async ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        var range = new ByteRange(offset, buffer.Length);
        using RangeClaims.Claim claim = await EnterAsync(range, cancellationToken).ConfigureAwait(false);
        await base.WriteCoreAsync(offset, buffer, flags, cancellationToken).ConfigureAwait(false);
        await LogAsync(new WriteLogEntry(WriteLogKind.Write, range, _file is null ? buffer.ToArray() : buffer)).ConfigureAwait(false);
    }

    private protected override async ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        var range = new ByteRange(offset, length);
        using RangeClaims.Claim claim = await EnterAsync(range, cancellationToken).ConfigureAwait(false);
        await base.WriteZeroesCoreAsync(offset, length, flags, cancellationToken).ConfigureAwait(false);
        await LogAsync(new WriteLogEntry(WriteLogKind.Zeroes, range, ReadOnlyMemory<byte>.Empty)).ConfigureAwait(false);
    }

    private protected override async ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        var range = new ByteRange(offset, length);
        using RangeClaims.Claim claim = await EnterAsync(range, cancellationToken).ConfigureAwait(false);
        await base.DiscardCoreAsync(offset, length, cancellationToken).ConfigureAwait(false);
        await LogAsync(new WriteLogEntry(WriteLogKind.Discard, range, ReadOnlyMemory<byte>.Empty)).ConfigureAwait(false);
    }

    private protected override async ValueTask FlushCoreAsync(CancellationToken cancellationToken)
    {
        _file?.ThrowIfFailed();
        int place;
        long covered;
        lock (_gate)
        {
            (place, covered) = (_entries.Count, _changes); // what completed before the flush began; later entries may be durable too, but need not be
        }

        await base.FlushCoreAsync(cancellationToken).ConfigureAwait(false);
        var flush = new WriteLogEntry(WriteLogKind.Flush, default, ReadOnlyMemory<byte>.Empty) { Covers = covered };
        if (_file is not null)
        {
            await _file.AppendAsync(flush).ConfigureAwait(false);
            await _file.FlushAsync().ConfigureAwait(false); // what the log calls durable is durable in the log
            return;
        }

        lock (_gate)
        {
            _entries.Insert(place, flush);
        }
    }

    private protected override async ValueTask ResizeCoreAsync(long length, ResizeOptions options, CancellationToken cancellationToken)
    {
        long longest = Math.Max(length, Length);
        await base.ResizeCoreAsync(length, options, cancellationToken).ConfigureAwait(false);
        if (_file is not null && length == longest)
        {
            await _file.WriteHeaderAsync(longest).ConfigureAwait(false);
        }
    }

    private protected override void OnChildLengthChanged(BlockEdge edge)
    {
        if (edge == Filtered)
        {
            base.OnChildLengthChanged(edge);
        }
    }

    private protected override async ValueTask CloseCoreAsync()
    {
        if (_file is not null)
        {
            await _file.FlushAsync().ConfigureAwait(false);
        }
    }

    private ValueTask<RangeClaims.Claim> EnterAsync(ByteRange range, CancellationToken cancellationToken)
    {
        _file?.ThrowIfFailed();
        return _claims.EnterAsync(range, ClaimMode.Exclusive, cancellationToken);
    }

    private async ValueTask LogAsync(WriteLogEntry entry)
    {
        if (_file is not null)
        {
            await _file.AppendAsync(entry).ConfigureAwait(false);
        }

        lock (_gate)
        {
            _changes += entry.IsChange ? 1 : 0;
            if (_file is null)
            {
                _entries.Add(entry);
            }
        }
    }
}
