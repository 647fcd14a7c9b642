using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

// What the header says, by the names of QEMU's ImageInfoSpecificQCow2.
internal sealed partial class Qcow2Node : IImageDetails
{
    /// <inheritdoc/>
    public ImageDetails GetDetails()
    {
        Qcow2Header header = Header;
        var properties = new List<KeyValuePair<string, object>>
        {
            new("compat", header.Version == 2 ? "0.10" : "1.1"),
            new("compression-type", header.Compression == CompressionType.Zstd ? "zstd" : "zlib"),
        };
        if (header.Version >= 3)
        {
            properties.Add(new("lazy-refcounts", (header.Compatible & CompatibleFeatures.LazyRefcounts) != 0));
        }

        if (_bitmaps.Bitmaps.Count > 0)
        {
            properties.Add(new("bitmaps", ListBitmaps()));
        }

        properties.Add(new("refcount-bits", 1 << header.RefcountOrder));
        if (_encryption is { } encryption)
        {
            properties.Add(new("encrypt", encryption.Properties));
        }

        if (header.DataFileName is { } dataFile)
        {
            properties.Add(new("data-file", dataFile));
            properties.Add(new("data-file-raw", (header.Autoclear & AutoclearFeatures.RawExternalData) != 0));
        }

        if (header.Version >= 3)
        {
            properties.Add(new("corrupt", header.HasFeature(IncompatibleFeatures.Corrupt)));
            properties.Add(new("extended-l2", header.HasFeature(IncompatibleFeatures.ExtendedL2)));
        }

        return new ImageDetails
        {
            Properties = properties,
            IsDirty = header.HasFeature(IncompatibleFeatures.Dirty),
            IsEncrypted = _data.IsEncrypted,
            IsCorrupt = header.HasFeature(IncompatibleFeatures.Corrupt),
            Damage = [.. DamageOfEncryption(), .. DamageOfBitmaps()],
        };
    }

    private IEnumerable<string> DamageOfEncryption() => _encryption is { Damage: { } damage } ? [$"The data cannot be decrypted: {damage}"] : [];

    // A bitmap that was in use is told by its flag: its writer stopped, and nothing is damaged.
    private IEnumerable<string> DamageOfBitmaps()
        => _bitmaps.Damage is { } damage
            ? [damage.Message]
            : _bitmaps.Bitmaps.Where(static bitmap => bitmap.Obstacle is not null || bitmap.IsDamaged)
                .Select(static bitmap => $"Bitmap '{bitmap.Entry.Name}' cannot be used: {ProblemOf(bitmap)}.");
}
