using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;
using BlockLayer.Storage;

namespace BlockLayer.Filters;

/// <summary>
/// A filter that remembers every change that went through it, in an order in which the changes took effect, so that any moment can be replayed onto another node.
/// </summary>
/// <remarks>
/// Overlapping changes go below one after the other, so the log's order is the real one where it matters. A change that fails is not logged: it may
/// have left its bytes or not. Copies from the backing file change nothing that is read, and are not logged. The log holds all bytes in memory.
/// </remarks>
public sealed class WriteLogNode : FilterNode
{
    private readonly RangeClaims _claims = new();
    private readonly Lock _gate = new();
    private readonly List<WriteLogEntry> _entries = []; // guarded by _gate

    /// <summary>Puts the filter on a node and takes over the caller's ownership of it.</summary>
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

    /// <summary>What has been logged so far.</summary>
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
            ValueTask request = entry.Kind switch
            {
                WriteLogKind.Write => target.WriteAsync(entry.Range.Offset, entry.Data, WriteFlags.None, cancellationToken),
                WriteLogKind.Zeroes => target.WriteZeroesAsync(entry.Range.Offset, entry.Range.Length, ZeroFlags.None, cancellationToken),
                WriteLogKind.Discard => target.DiscardAsync(entry.Range.Offset, entry.Range.Length, cancellationToken),
                _ => target.FlushAsync(cancellationToken),
            };
            await request.ConfigureAwait(false);
        }
    }

    private protected override async ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        var range = new ByteRange(offset, buffer.Length);
        using RangeClaims.Claim claim = await _claims.EnterAsync(range, ClaimMode.Exclusive, cancellationToken).ConfigureAwait(false);
        await base.WriteCoreAsync(offset, buffer, flags, cancellationToken).ConfigureAwait(false);
        Log(new WriteLogEntry(WriteLogKind.Write, range, buffer.ToArray()));
    }

    private protected override async ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        var range = new ByteRange(offset, length);
        using RangeClaims.Claim claim = await _claims.EnterAsync(range, ClaimMode.Exclusive, cancellationToken).ConfigureAwait(false);
        await base.WriteZeroesCoreAsync(offset, length, flags, cancellationToken).ConfigureAwait(false);
        Log(new WriteLogEntry(WriteLogKind.Zeroes, range, ReadOnlyMemory<byte>.Empty));
    }

    private protected override async ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        var range = new ByteRange(offset, length);
        using RangeClaims.Claim claim = await _claims.EnterAsync(range, ClaimMode.Exclusive, cancellationToken).ConfigureAwait(false);
        await base.DiscardCoreAsync(offset, length, cancellationToken).ConfigureAwait(false);
        Log(new WriteLogEntry(WriteLogKind.Discard, range, ReadOnlyMemory<byte>.Empty));
    }

    private protected override async ValueTask FlushCoreAsync(CancellationToken cancellationToken)
    {
        int covered;
        lock (_gate)
        {
            covered = _entries.Count; // what completed before the flush began; later entries may be durable too, but need not be
        }

        await base.FlushCoreAsync(cancellationToken).ConfigureAwait(false);
        lock (_gate)
        {
            _entries.Insert(covered, new WriteLogEntry(WriteLogKind.Flush, default, ReadOnlyMemory<byte>.Empty));
        }
    }

    private void Log(WriteLogEntry entry)
    {
        lock (_gate)
        {
            _entries.Add(entry);
        }
    }
}
