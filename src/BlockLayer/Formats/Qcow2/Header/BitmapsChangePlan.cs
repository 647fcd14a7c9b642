namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Plans a change of the bitmaps extension, together with fixed fields, as a <see cref="HeaderChangePlan"/>: a crash at any moment leaves the old directory or the
/// new one. An extension that lies across the end of the first sector, as QEMU places it behind the feature names, moves in front of them.
/// </summary>
internal static class BitmapsChangePlan
{
    /// <summary>Plans a change; null where extensions that have to stay are in the way, or there is no room.</summary>
    /// <param name="firstCluster">The first cluster as it is on disk.</param>
    /// <param name="target">Where the directory is; null for no bitmaps.</param>
    /// <param name="fields">Changes fixed fields with it.</param>
    public static HeaderChangePlan? TryCreate(ReadOnlySpan<byte> firstCluster, BitmapsExtension? target, Func<Qcow2Header, Qcow2Header> fields)
    {
        Qcow2Header current = Qcow2Header.Parse(firstCluster);
        Qcow2Header changed = fields(current) with
        {
            Autoclear = target is null ? current.Autoclear & ~AutoclearFeatures.Bitmaps : current.Autoclear | AutoclearFeatures.Bitmaps,
        };
        return HeaderChangePlan.TryCreate(firstCluster, Layouts(current.Extensions, target).SelectMany(extensions => Placed(current, changed, extensions)));
    }

    private static IEnumerable<HeaderExtensions> Layouts(HeaderExtensions current, BitmapsExtension? target)
    {
        if (target is null)
        {
            yield return current.Without(HeaderExtensionType.Bitmaps);
            yield break;
        }

        HeaderExtension bitmaps = target.Value.ToExtension();
        if (current.Find(HeaderExtensionType.Bitmaps) is not null)
        {
            yield return current.With(bitmaps);
        }

        IEnumerable<HeaderExtension> format = current.Items.Where(static item => item.Type == HeaderExtensionType.BackingFormat);
        IEnumerable<HeaderExtension> names = current.Items.Where(static item => item.Type == HeaderExtensionType.FeatureNameTable);
        IEnumerable<HeaderExtension> others = current.Items.Where(static item
            => item.Type is not (HeaderExtensionType.BackingFormat or HeaderExtensionType.FeatureNameTable or HeaderExtensionType.Bitmaps));
        yield return HeaderExtensions.Create([.. format, bitmaps, .. others, .. names]);
        yield return HeaderExtensions.Create([.. format, bitmaps, .. names, .. others]);
        yield return HeaderExtensions.Create([.. format, bitmaps, .. others]); // names are optional
    }

    private static IEnumerable<Qcow2Header> Placed(Qcow2Header current, Qcow2Header changed, HeaderExtensions extensions)
    {
        int area = current.HeaderLength + extensions.Length;
        Qcow2Header header = changed with { Extensions = extensions };
        long nameEnd = current.BackingFileOffset.Value + current.BackingNameBytes.Length;
        if (current.BackingFileOffset.Value == 0)
        {
            return area <= current.ClusterSize ? [header] : [];
        }

        IEnumerable<HostOffset> places = HeaderChangePlan.NamePlaces(current, current.HeaderLength + extensions.Length, current.BackingNameBytes.Length);
        return (area <= current.BackingFileOffset.Value && nameEnd <= current.ClusterSize ? places.Prepend(current.BackingFileOffset) : places)
            .Select(place => header with { BackingFileOffset = place });
    }
}
