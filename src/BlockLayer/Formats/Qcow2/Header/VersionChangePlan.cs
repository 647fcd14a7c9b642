namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Plans another version of the header, which is shorter or longer, so that what follows it moves: a <see cref="HeaderChangePlan"/>, which a crash leaves undone or done.
/// </summary>
internal static class VersionChangePlan
{
    /// <summary>Plans the change; null when there is no room to move what follows the header.</summary>
    /// <param name="firstCluster">The first cluster as it is on disk.</param>
    /// <param name="next">The header with everything changed but the places of what follows it.</param>
    public static HeaderChangePlan? TryCreate(ReadOnlySpan<byte> firstCluster, Qcow2Header next)
        => HeaderChangePlan.TryCreate(firstCluster, [.. Candidates(Qcow2Header.Parse(firstCluster), next)]);

    private static IEnumerable<Qcow2Header> Candidates(Qcow2Header current, Qcow2Header next)
    {
        foreach (HeaderExtensions extensions in Layouts(next))
        {
            int area = next.HeaderLength + extensions.Length;
            if (!next.HasBackingFile && area <= next.ClusterSize)
            {
                yield return next with { Extensions = extensions, BackingFileOffset = default };
            }
            else if (next.HasBackingFile)
            {
                foreach (HostOffset name in HeaderChangePlan.NamePlaces(current, area, next.BackingNameBytes.Length))
                {
                    yield return next with { Extensions = extensions, BackingFileOffset = name };
                }
            }
        }
    }

    /// <summary>The extension areas to try, best first: with the names of features, which only version 3 has and nobody needs, and without.</summary>
    private static IEnumerable<HeaderExtensions> Layouts(Qcow2Header next)
    {
        HeaderExtensions others = next.Extensions.Without(HeaderExtensionType.FeatureNameTable);
        if (next.Version >= 3)
        {
            yield return HeaderExtensions.Create([.. others.Items, FeatureNameTable.Create()]);
        }

        yield return others;
    }
}
