using System.Text;
using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Plans the change of an image's backing file, or its end, as a <see cref="HeaderChangePlan"/>: a crash at any moment leaves the old reference or the new one
/// whole. The format is the first extension, so that it lies in the sector that holds the name's offset and size.
/// </summary>
internal static class BackingChangePlan
{
    /// <summary>Plans a change. To learn early whether there is room, make a plan and drop it.</summary>
    /// <param name="firstCluster">The first cluster as it is on disk.</param>
    /// <param name="target">The new backing file, with a name that is not empty; null to have none.</param>
    /// <param name="plan">The plan, if there is one.</param>
    /// <returns>Why there is no plan; <see cref="BackingChangeRefusal.None"/> when there is one.</returns>
    public static BackingChangeRefusal TryCreate(ReadOnlySpan<byte> firstCluster, BackingReference? target, out HeaderChangePlan? plan)
    {
        plan = null;
        if (target is not null
            && (Encoding.UTF8.GetByteCount(target.Name) > Qcow2Limits.MaxBackingNameLength
                || Encoding.UTF8.GetByteCount(target.Format ?? "") > Qcow2Limits.MaxBackingFormatLength))
        {
            return BackingChangeRefusal.TooLong;
        }

        Qcow2Header current = Qcow2Header.Parse(firstCluster);
        Qcow2Header[] candidates = [.. Candidates(current, target)];
        plan = HeaderChangePlan.TryCreate(firstCluster, candidates);
        return plan is not null ? BackingChangeRefusal.None
            : candidates.Length > 0 ? BackingChangeRefusal.ExtensionsInTheWay
            : BackingChangeRefusal.NoRoom;
    }

    private static IEnumerable<Qcow2Header> Candidates(Qcow2Header current, BackingReference? target)
    {
        foreach (HeaderExtensions extensions in Layouts(current.Extensions, target))
        {
            foreach (HostOffset name in NamePlaces(current, extensions, target))
            {
                yield return Place(current with { Extensions = extensions }, target, name);
            }
        }
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

    private static IEnumerable<HostOffset> NamePlaces(Qcow2Header current, HeaderExtensions extensions, BackingReference? target)
        => target is not null ? HeaderChangePlan.NamePlaces(current, current.HeaderLength + extensions.Length, Encoding.UTF8.GetByteCount(target.Name))
            : current.HeaderLength + extensions.Length <= current.ClusterSize ? [new HostOffset(0)]
            : [];

    private static Qcow2Header Place(Qcow2Header header, BackingReference? target, HostOffset name)
    {
        byte[] bytes = target is null ? [] : Encoding.UTF8.GetBytes(target.Name);
        return header with { BackingFileOffset = name, BackingFileSize = (uint)bytes.Length, BackingNameBytes = bytes };
    }
}
