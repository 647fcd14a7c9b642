using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Storage;
using Xunit;

namespace BlockLayer.Simulation.Tests.Interleavings;

/// <summary>
/// Stands between an image and its source and watches the fetches of copies: how often each unit was read, and that none is read while another read
/// of it is under way.
/// </summary>
internal sealed class FetchProbe : FilterNode
{
    private readonly List<ByteRange> _underWay = [];
    private readonly Dictionary<long, int> _fetches = [];
    private readonly int _unit;

    internal FetchProbe(BlockNode source, int unit)
        : base($"probe of {source.NodeName}", source, ImagePermissions.ConsistentRead, ImagePermissions.All)
        => _unit = unit;

    public override string DriverName => "probe";

    /// <summary>Reads of the source that were not fetches of copies.</summary>
    internal int PlainReads { get; private set; }

    /// <summary>How often the unit that holds <paramref name="offset"/> was fetched.</summary>
    internal int FetchesAt(long offset) => _fetches.GetValueOrDefault(offset / _unit);

    /// <summary>The units that were fetched, in ascending order.</summary>
    internal IReadOnlyList<long> FetchedUnits => [.. _fetches.Keys.Order()];

    /// <summary>The most that any unit was fetched.</summary>
    internal int MostFetches => _fetches.Count == 0 ? 0 : _fetches.Values.Max();

    private protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
    {
        if ((flags & ReadFlags.Prefetch) == 0)
        {
            PlainReads++;
            return base.ReadCoreAsync(offset, buffer, flags, cancellationToken);
        }

        return FetchAsync(offset, buffer, flags, cancellationToken);
    }

    private async ValueTask FetchAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
    {
        ByteRange units = new ByteRange(offset, buffer.Length).RoundOut(_unit);
        Assert.DoesNotContain(_underWay, other => other.Overlaps(units));
        _underWay.Add(units);
        for (long at = units.Offset; at < units.End; at += _unit)
        {
            _fetches[at / _unit] = FetchesAt(at) + 1;
        }

        try
        {
            await base.ReadCoreAsync(offset, buffer, flags, cancellationToken);
        }
        finally
        {
            _underWay.Remove(units);
        }
    }
}
