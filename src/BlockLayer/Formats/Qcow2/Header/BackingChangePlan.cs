using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Text;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// The writes that give an image another backing file, or none, such that a crash at any moment leaves the old reference or the new one whole.
/// </summary>
/// <remarks>
/// A disk writes 512 bytes whole and nothing larger. The first sector holds the name's offset and size, and the backing format as the first extension: one
/// write of it is the change. Everything the new first sector refers to outside itself is written before, to bytes that the old one does not refer to.
/// <code>
/// sector 0                              sector 1 and on
/// | fixed fields | format | other extensions ........ | old name |  new name  |
///   2. commit                                                      1. prepare
/// </code>
/// Extensions that reach past sector 0 stay where they are if they can. If they have to move, the feature names, which are optional, are dropped by one
/// such change and brought back by a second one.
/// </remarks>
internal sealed class BackingChangePlan
{
    private BackingChangePlan(IReadOnlyList<HeaderWrite> writes, Qcow2Header header)
    {
        Writes = writes;
        Header = header;
    }

    /// <summary>The writes in order. Each is flushed before the next, and the last one too before success is told.</summary>
    public IReadOnlyList<HeaderWrite> Writes { get; }

    /// <summary>The header when all is written.</summary>
    public Qcow2Header Header { get; }

    /// <summary>
    /// Plans a change. The plan holds the whole first sector, so it is carried out before any other header field changes; to learn early whether there is
    /// room, make a plan and drop it.
    /// </summary>
    /// <param name="firstCluster">The first cluster as it is on disk.</param>
    /// <param name="target">The new backing file, with a name that is not empty; null to have none.</param>
    /// <param name="plan">The plan, if there is one.</param>
    /// <returns>Why there is no plan; <see cref="BackingChangeRefusal.None"/> when there is one.</returns>
    public static BackingChangeRefusal TryCreate(ReadOnlySpan<byte> firstCluster, BackingReference? target, out BackingChangePlan? plan)
    {
        plan = null;
        if (target is not null
            && (Encoding.UTF8.GetByteCount(target.Name) > Qcow2Limits.MaxBackingNameLength
                || Encoding.UTF8.GetByteCount(target.Format ?? "") > Qcow2Limits.MaxBackingFormatLength))
        {
            return BackingChangeRefusal.TooLong;
        }

        var current = new State(firstCluster.ToArray());
        bool hadRoom = false;
        foreach (HeaderExtensions extensions in Layouts(current.Header.Extensions, target))
        {
            foreach (HostOffset name in NamePlaces(current.Header, extensions, target))
            {
                hadRoom = true;
                Qcow2Header next = Place(current.Header with { Extensions = extensions }, target, name);
                Qcow2Header bridge = next with { Extensions = extensions.Without(HeaderExtensionType.FeatureNameTable) };
                List<HeaderWrite> writes = [];
                if (current.TryChangeTo(next, writes, out _)
                    || (current.TryChangeTo(bridge, writes, out State? between) && between.TryChangeTo(next, writes, out _)))
                {
                    plan = new BackingChangePlan(writes, next);
                    return BackingChangeRefusal.None;
                }
            }
        }

        return hadRoom ? BackingChangeRefusal.ExtensionsInTheWay : BackingChangeRefusal.NoRoom;
    }

    /// <summary>The extension areas to try, best first: the format as the first extension (or gone), then the order the image has.</summary>
    private static IEnumerable<HeaderExtensions> Layouts(HeaderExtensions current, BackingReference? target)
    {
        HeaderExtensions others = current.Without(HeaderExtensionType.BackingFormat);
        if (target is null)
        {
            yield return others;

            // Without a name the recorded format says nothing, so it does no harm where it cannot go.
            yield return current;
            yield break;
        }

        if (target.Format is null)
        {
            // A format left behind would be taken for the new file's.
            yield return others;
            yield break;
        }

        HeaderExtension format = HeaderExtension.Create(HeaderExtensionType.BackingFormat, target.Format);
        yield return others.With(format);
        if (current.Find(HeaderExtensionType.BackingFormat) is not null)
        {
            yield return current.With(format);
        }
    }

    /// <summary>Where the name could go: as far in front as possible, else behind the old extensions, else behind the old name.</summary>
    private static IEnumerable<HostOffset> NamePlaces(Qcow2Header current, HeaderExtensions extensions, BackingReference? target)
    {
        int area = current.HeaderLength + extensions.Length;
        if (target is null)
        {
            return area <= current.ClusterSize ? [new HostOffset(0)] : [];
        }

        int length = Encoding.UTF8.GetByteCount(target.Name);
        long oldNameEnd = current.BackingFileOffset.Value + current.BackingNameBytes.Length;
        long[] places = [area, Math.Max(area, current.AreaLength), Math.Max(Math.Max(area, current.AreaLength), oldNameEnd)];
        return places.Select(static place => Alignment.RoundUp(place, 8)).Where(place => place + length <= current.ClusterSize).Distinct().Select(static place => new HostOffset(place));
    }

    private static Qcow2Header Place(Qcow2Header header, BackingReference? target, HostOffset name)
    {
        byte[] bytes = target is null ? [] : Encoding.UTF8.GetBytes(target.Name);
        return header with { BackingFileOffset = name, BackingFileSize = (uint)bytes.Length, BackingNameBytes = bytes };
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
            for (int at = Math.Min(Qcow2Limits.SectorLength, cluster.Length); at < cluster.Length; at++)
            {
                if (changed[at] == cluster[at])
                {
                    continue;
                }

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

        private bool IsInUse(int at)
            => at < Header.AreaLength
            || (at >= Header.BackingFileOffset.Value && at < Header.BackingFileOffset.Value + Header.BackingNameBytes.Length);
    }
}
