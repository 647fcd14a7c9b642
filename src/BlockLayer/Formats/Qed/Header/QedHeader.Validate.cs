using System.Numerics;
using BlockLayer.Errors;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qed;

// The judge: can things be located, are they inside the file, do they overlap, are they ours to change.
internal sealed partial record QedHeader
{
    /// <summary>Judges the fields against the specification and the real length of the file, in bytes.</summary>
    /// <exception cref="ImageFormatException">InvalidFormat, Corrupt (L1 table outside the file) or Unsupported (an unknown feature bit).</exception>
    internal void Validate(long fileLength)
    {
        ThrowIfFeaturesUnknown();
        ThrowIfNotPowerOfTwo("cluster_size", ClusterSizeAt, ClusterSize, QedLimits.MinClusterSize, QedLimits.MaxClusterSize);
        ThrowIfNotPowerOfTwo("table_size", TableSizeAt, TableSize, QedLimits.MinTableSize, QedLimits.MaxTableSize);
        ThrowIfImageSizeInvalid();
        ThrowIfHeaderSizeInvalid();
        ThrowIfL1TableInvalid(fileLength);
        if (HasBacking)
        {
            ThrowIfBackingNameInvalid();
        }
    }

    private static void ThrowIfNotPowerOfTwo(string field, int at, uint found, int minimum, int maximum)
    {
        if (!BitOperations.IsPow2(found) || found < minimum || found > maximum)
        {
            throw ImageFormatException.Invalid(field, at, $"{found}", $"a power of two from {minimum} to {maximum}");
        }
    }

    private void ThrowIfFeaturesUnknown()
    {
        QedFeatures unknown = Features & ~QedFeatures.Known;
        if (unknown != 0)
        {
            var bits = Enumerable.Range(0, 64).Where(bit => ((ulong)unknown >> bit & 1) != 0);
            throw ImageFormatException.Unsupported(
                "features",
                FeaturesAt,
                $"features has bits that are not known here: {string.Join(", ", bits)}; known are 0 to 2.");
        }
    }

    private void ThrowIfImageSizeInvalid()
    {
        if (ImageSize % QedLimits.SectorSize != 0)
        {
            throw ImageFormatException.Invalid("image_size", ImageSizeAt, $"{ImageSize}", $"a multiple of {QedLimits.SectorSize}");
        }

        long maximum = Geometry.MaxImageSize;
        if (ImageSize > (ulong)maximum)
        {
            throw ImageFormatException.Invalid("image_size", ImageSizeAt, $"{ImageSize}", $"at most {maximum}, which the tables can map");
        }
    }

    private void ThrowIfHeaderSizeInvalid()
    {
        // QEMU: the header's size in bytes must fit 32 bits.
        uint maximum = uint.MaxValue / ClusterSize;
        if (HeaderSize is 0 || HeaderSize > maximum)
        {
            throw ImageFormatException.OutOfRange("header_size", HeaderSizeAt, HeaderSize, 1, maximum);
        }
    }

    private void ThrowIfL1TableInvalid(long fileLength)
    {
        if (L1TableOffset % ClusterSize != 0 || L1TableOffset > long.MaxValue)
        {
            throw ImageFormatException.Invalid("l1_table_offset", L1TableOffsetAt, $"{L1TableOffset}", $"a multiple of cluster_size, {ClusterSize}");
        }

        if (L1TableOffset < (ulong)FirstClusterOffset)
        {
            throw ImageFormatException.Invalid("l1_table_offset", L1TableOffsetAt, $"{L1TableOffset}", $"at least {FirstClusterOffset}, the end of the header");
        }

        long length = Geometry.TableLength;
        if (fileLength < length || (long)L1TableOffset > fileLength - length)
        {
            throw ImageFormatException.Corrupt(
                "l1_table_offset",
                L1TableOffsetAt,
                $"The L1 table is said to take {length} bytes from byte {L1TableOffset}; the file ends at byte {fileLength}.");
        }
    }

    private void ThrowIfBackingNameInvalid()
    {
        if (BackingNameSize is 0 or > QedLimits.MaxBackingNameLength)
        {
            throw ImageFormatException.OutOfRange("backing_filename_size", BackingNameSizeAt, BackingNameSize, 1, QedLimits.MaxBackingNameLength);
        }

        var name = new ByteRange(BackingNameOffset, BackingNameSize);
        if (name.Offset < Size || name.End > FirstClusterOffset)
        {
            throw ImageFormatException.OutOfRange("backing_filename_offset", BackingNameOffsetAt, BackingNameOffset, Size, FirstClusterOffset - name.Length);
        }
    }
}
