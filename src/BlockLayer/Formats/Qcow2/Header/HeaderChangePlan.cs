using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// The writes that turn one header into another, extensions and backing file name included, such that a crash at any moment leaves what the old one said or what
/// the new one says.
/// </summary>
/// <remarks>
/// A disk writes 512 bytes whole and nothing larger. One write of the first sector is the change; everything the new first sector refers to outside itself is
/// written before, to bytes that the old one does not refer to.
/// <code>
/// sector 0                              sector 1 and on
/// | fixed fields | extensions .................... | old name |  new name  |
///   2. commit                                                    1. prepare
/// </code>
/// Extensions that reach past sector 0 stay where they are if they can. If they have to move, the feature names, which are optional, are dropped by one
/// such change and brought back by a second one. The plan holds the whole first sector, so it is carried out before any other header field changes.
/// </remarks>
internal sealed class HeaderChangePlan
{
    private HeaderChangePlan(IReadOnlyList<HeaderWrite> writes, int decisive, Qcow2Header header)
    {
        Writes = writes;
        Decisive = decisive;
        Header = header;
    }

    /// <summary>The writes in order. Each is flushed before the next, and the last one too before success is told.</summary>
    public IReadOnlyList<HeaderWrite> Writes { get; }

    /// <summary>How many of these writes it takes until the header says what is wanted. The others bring back the feature names.</summary>
    public int Decisive { get; }

    /// <summary>The header when all is written.</summary>
    public Qcow2Header Header { get; }

    /// <summary>A plan for the first of these headers that can be reached; null if none can.</summary>
    /// <param name="firstCluster">The first cluster as it is on disk.</param>
    /// <param name="candidates">Headers that say what is wanted, best first. Each lies inside the cluster, its name behind its extensions.</param>
    public static HeaderChangePlan? TryCreate(ReadOnlySpan<byte> firstCluster, IEnumerable<Qcow2Header> candidates)
    {
        var current = new State(firstCluster.ToArray());
        foreach (Qcow2Header next in candidates)
        {
            Qcow2Header bridge = next with { Extensions = next.Extensions.Without(HeaderExtensionType.FeatureNameTable) };
            List<HeaderWrite> writes = [];
            if (current.TryChangeTo(next, writes, out _))
            {
                return new HeaderChangePlan(writes, writes.Count, next);
            }

            if (current.TryChangeTo(bridge, writes, out State? between))
            {
                int decisive = writes.Count;
                if (between.TryChangeTo(next, writes, out _))
                {
                    return new HeaderChangePlan(writes, decisive, next);
                }
            }
        }

        return null;
    }

    /// <summary>Where a name of <paramref name="nameLength"/> bytes could go: as far in front as possible, else behind the old extensions, else behind the old name.</summary>
    /// <param name="current">The header as it is on disk.</param>
    /// <param name="area">Bytes of the new header and extensions, which lie in front of the name.</param>
    /// <param name="nameLength">Bytes of the new name.</param>
    public static IEnumerable<HostOffset> NamePlaces(Qcow2Header current, int area, int nameLength)
    {
        long oldNameEnd = current.BackingFileOffset.Value + current.BackingNameBytes.Length;
        long[] places = [area, Math.Max(area, current.AreaLength), Math.Max(Math.Max(area, current.AreaLength), oldNameEnd)];
        return places.Select(static place => Alignment.RoundUp(place, 8)).Where(place => place + nameLength <= current.ClusterSize).Distinct().Select(static place => new HostOffset(place));
    }

    /// <summary>The first cluster at one moment: its bytes, and the header they say.</summary>
    private sealed class State(byte[] cluster)
    {
        public Qcow2Header Header { get; } = Qcow2Header.Parse(cluster);

        /// <summary>
        /// Appends the writes that turn this state into one with the header <paramref name="next"/>, if nothing this header refers to outside the first
        /// sector has to change; else appends nothing.
        /// </summary>
        public bool TryChangeTo(Qcow2Header next, List<HeaderWrite> writes, [NotNullWhen(true)] out State? after)
        {
            byte[] changed = [.. cluster];
            next.WriteTo(changed);
            after = null;
            int first = -1;
            int last = -1;
            for (int at = NextChange(changed, Math.Min(Qcow2Limits.SectorLength, cluster.Length)); at < cluster.Length; at = NextChange(changed, at + 1))
            {
                if (IsInUse(at))
                {
                    return false;
                }

                first = first < 0 ? at : first;
                last = at;
            }

            if (first >= 0)
            {
                writes.Add(new HeaderWrite(new HostOffset(first), changed.AsMemory(first, last + 1 - first)));
            }

            writes.Add(new HeaderWrite(new HostOffset(0), changed.AsMemory(0, Qcow2Limits.SectorLength)));
            after = new State(changed);
            Debug.Assert(after.Header.AreaLength == next.AreaLength, "what was written reads back");
            return true;
        }

        private int NextChange(byte[] changed, int from) => from + changed.AsSpan(from).CommonPrefixLength(cluster.AsSpan(from));

        private bool IsInUse(int at)
            => at < Header.AreaLength
            || (at >= Header.BackingFileOffset.Value && at < Header.BackingFileOffset.Value + Header.BackingNameBytes.Length);
    }
}
