using System.Globalization;
using System.Numerics;
using System.Text;
using BlockLayer.Errors;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

internal sealed partial record Qcow2Header
{
    /// <summary>
    /// Judges a header against the real length of its file: can everything be located, is it inside the file, does it overlap. Nothing it lets
    /// pass makes a reader allocate or read more than the file's length, or more than a limit of <see cref="Qcow2Limits"/>. The snapshot table is not judged
    /// here, but by whoever reads it.
    /// </summary>
    /// <exception cref="ImageFormatException">
    /// Unsupported: an unknown incompatible feature. InvalidFormat: a field the format does not allow. Corrupt: fields that contradict each other or the file.
    /// </exception>
    public void Validate(long fileLength)
    {
        RequireKnownFeatures();
        ValidateFields();
        ClusterGeometry g = CreateGeometry();
        ValidateNames();
        ValidateDataFile();
        ValidateTables(g);
        ValidateInsideFile(g, fileLength);
        ValidateOverlaps(g);
        ValidateEncryption(g, fileLength);
    }

    private void RequireKnownFeatures()
    {
        ulong unknown = (ulong)(Incompatible & ~IncompatibleFeatures.Known);
        if (unknown == 0)
        {
            return;
        }

        StringBuilder list = new();
        for (; unknown != 0; unknown &= unknown - 1)
        {
            int bit = BitOperations.TrailingZeroCount(unknown);
            list.Append(list.Length == 0 ? "" : ", ").Append(CultureInfo.InvariantCulture, $"{bit}");
            if (FeatureNameTable.FindIncompatible(Extensions, bit) is { } name)
            {
                list.Append(CultureInfo.InvariantCulture, $" (\"{name}\")");
            }
        }

        throw ImageFormatException.Unsupported("incompatible_features", IncompatibleFeaturesAt, $"incompatible_features at byte {IncompatibleFeaturesAt} has unknown bits: {list}.");
    }

    private void ValidateFields()
    {
        if (RefcountOrder is < 0 or > Qcow2Limits.MaxRefcountOrder)
        {
            throw ImageFormatException.OutOfRange("refcount_order", RefcountOrderAt, (uint)RefcountOrder, 0, Qcow2Limits.MaxRefcountOrder);
        }

        if (!Enum.IsDefined(Encryption))
        {
            throw ImageFormatException.OutOfRange("crypt_method", CryptMethodAt, (uint)Encryption, 0, (uint)EncryptionMethod.Luks);
        }

        if (!Enum.IsDefined(Compression))
        {
            throw ImageFormatException.Unsupported("compression_type", Version3Length, $"compression_type is {(byte)Compression} at byte {Version3Length}; 0 (zlib) and 1 (zstd) are known.");
        }

        if (HasFeature(IncompatibleFeatures.CompressionType) != (Compression != CompressionType.Zlib))
        {
            throw ImageFormatException.Invalid("compression_type", Version3Length, $"{(byte)Compression}", "0 exactly when the bit \"Compression type\" of incompatible_features is clear");
        }

        if (HasFeature(IncompatibleFeatures.ExtendedL2) && ClusterBits < Qcow2Limits.MinExtendedL2ClusterBits)
        {
            throw ImageFormatException.OutOfRange("cluster_bits", ClusterBitsAt, ClusterBits, Qcow2Limits.MinExtendedL2ClusterBits, Qcow2Limits.MaxClusterBits);
        }

        if (VirtualSize < 0)
        {
            throw ImageFormatException.Invalid("size", SizeAt, $"{(ulong)VirtualSize}", $"at most {long.MaxValue}");
        }
    }

    private void ValidateNames()
    {
        if (BackingNameBytes.Span.Contains((byte)0))
        {
            // A reader in C would take another name than we do.
            throw ImageFormatException.Invalid("backing file name", BackingFileOffset.Value, "text with a zero byte", "text without one");
        }

        try
        {
            s_strictUtf8.GetCharCount(BackingNameBytes.Span);
        }
        catch (DecoderFallbackException cause)
        {
            throw new ImageFormatException(BlockErrorKind.InvalidFormat, "backing file name", BackingFileOffset.Value, $"backing file name at byte {BackingFileOffset.Value} is not valid UTF-8.", cause);
        }

        if (Extensions.Find(HeaderExtensionType.BackingFormat) is { Data.Length: > Qcow2Limits.MaxBackingFormatLength and int length })
        {
            throw ImageFormatException.OutOfRange("length of the backing file format name", HeaderLength, length, 0, Qcow2Limits.MaxBackingFormatLength);
        }
    }

    private void ValidateTables(ClusterGeometry g)
    {
        RequireAligned("refcount_table_offset", RefcountTableOffsetAt, RefcountTableOffset, g);
        long maxRefcountClusters = Math.Max(1, Qcow2Limits.MaxRefcountTableLength / g.ClusterSize);
        if (RefcountTableClusters < 1 || RefcountTableClusters > maxRefcountClusters)
        {
            throw ImageFormatException.OutOfRange("refcount_table_clusters", RefcountTableClustersAt, RefcountTableClusters, 1, maxRefcountClusters);
        }

        RequireAligned("l1_table_offset", L1TableOffsetAt, L1TableOffset, g);
        const long maxL1 = Qcow2Limits.MaxL1TableLength / L1Entry.Size;
        long neededL1 = g.L1EntriesFor(VirtualSize);
        if (neededL1 > maxL1)
        {
            throw ImageFormatException.Invalid("size", SizeAt, $"{VirtualSize}", $"at most {maxL1} L1 entries of {g.L2TableReach} bytes each");
        }

        if (L1Size < neededL1 || L1Size > maxL1)
        {
            throw ImageFormatException.OutOfRange("l1_size", L1SizeAt, L1Size, neededL1, maxL1);
        }
    }

    private void ValidateInsideFile(ClusterGeometry g, long fileLength)
    {
        RequireInside("refcount table", RefcountTableOffsetAt, RefcountTableRange(g), fileLength);
        RequireInside("L1 table", L1TableOffsetAt, L1TableRange, fileLength);
    }

    private void ValidateOverlaps(ClusterGeometry g)
    {
        ByteRange header = new(0, g.ClusterSize);
        RequireApart("refcount table", RefcountTableOffsetAt, RefcountTableRange(g), "header", header);
        if (L1Size > 0)
        {
            RequireApart("L1 table", L1TableOffsetAt, L1TableRange, "header", header);
            RequireApart("L1 table", L1TableOffsetAt, L1TableRange, "refcount table", RefcountTableRange(g));
        }
    }

    private ByteRange L1TableRange => new(L1TableOffset.Value, (long)L1Size * L1Entry.Size);

    private ByteRange RefcountTableRange(ClusterGeometry g) => new(RefcountTableOffset.Value, (long)RefcountTableClusters * g.ClusterSize);

    private static void RequireAligned(string field, int at, HostOffset offset, ClusterGeometry g)
    {
        if (offset.Value < 0 || !offset.IsAligned(g))
        {
            throw ImageFormatException.Invalid(field, at, $"0x{offset.Value:x}", $"a multiple of the cluster size {g.ClusterSize}");
        }
    }

    private static void RequireInside(string table, int at, ByteRange range, long fileLength)
    {
        if (range.Length > 0 && (range.Offset > fileLength || range.Length > fileLength - range.Offset))
        {
            throw ImageFormatException.Corrupt(table, at, $"{table} of {range.Length} bytes at byte {range.Offset} does not end inside the file of {fileLength} bytes.");
        }
    }

    private static void RequireApart(string table, int at, ByteRange range, string other, ByteRange otherRange)
    {
        if (range.Overlaps(otherRange))
        {
            throw ImageFormatException.Corrupt(table, at, $"{table} {range} overlaps {other} {otherRange}.");
        }
    }
}
