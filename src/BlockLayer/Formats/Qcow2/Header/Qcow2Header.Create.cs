using System.Text;
using BlockLayer.Errors;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

internal sealed partial record Qcow2Header
{
    /// <summary>header_length QEMU writes for version 3: compression_type and its padding.</summary>
    private const int AdditionalLength = 8;

    /// <summary>The additional fields of a version 3 header of a new image.</summary>
    public static ReadOnlyMemory<byte> NewAdditionalFields(CompressionType compression)
    {
        byte[] fields = new byte[AdditionalLength];
        fields[0] = (byte)compression;
        return fields;
    }

    /// <summary>This header with the extensions a new image gets: the backing format first, then the feature names (version 3).</summary>
    /// <param name="backingFormat">Format of the backing file; null where there is none.</param>
    public Qcow2Header WithNewExtensions(string? backingFormat)
    {
        List<HeaderExtension> extensions = [];
        if (backingFormat is not null)
        {
            extensions.Add(HeaderExtension.Create(HeaderExtensionType.BackingFormat, backingFormat));
        }

        if (Version >= 3 && ClusterSize - HeaderLength > FeatureNameTable.Create().Length + Qcow2Limits.MaxBackingNameLength)
        {
            // The names are optional; in clusters of 1 KiB and less they would leave no room for the backing file name.
            extensions.Add(FeatureNameTable.Create());
        }

        return this with { Extensions = HeaderExtensions.Create(extensions) };
    }

    /// <summary>This header with a backing file name directly behind the extensions. For new images; an existing one is changed by <see cref="BackingChangePlan"/>.</summary>
    /// <exception cref="ImageFormatException">InvalidFormat: the name is too long for the format or for this cluster size.</exception>
    public Qcow2Header WithNewBackingName(string name)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(name);
        int at = (int)Alignment.RoundUp(AreaLength, 8);
        int room = Math.Min(Qcow2Limits.MaxBackingNameLength, ClusterSize - at);
        if (bytes.Length > room)
        {
            throw ImageFormatException.OutOfRange("backing_file_size", BackingFileSizeAt, bytes.Length, 1, room);
        }

        return this with { BackingFileOffset = new(at), BackingFileSize = (uint)bytes.Length, BackingNameBytes = bytes };
    }
}
