using System.Buffers.Binary;
using System.Text;
using BlockLayer.Errors;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// The header of an image: fixed fields, additional fields, header extensions and backing file name. Immutable; a change is a copy made by <c>with</c>.
/// </summary>
/// <remarks>
/// <code>
/// 0        72        104                 header_length                               cluster_size
/// | fixed  | v3 only | additional fields | extensions ... end marker | backing name  |
/// </code>
/// <see cref="Parse"/> throws only for what it cannot read past; everything else is kept as found, so that what is written back is what was read.
/// <see cref="Validate"/> judges it.
/// </remarks>
internal sealed partial record Qcow2Header
{
    /// <summary>"QFI" and 0xfb, the first four bytes.</summary>
    public const uint Magic = 0x5146_49fb;

    /// <summary>Bytes of a version 2 header.</summary>
    public const int Version2Length = 72;

    /// <summary>Bytes of a version 3 header without additional fields.</summary>
    public const int Version3Length = 104;

    /// <summary>Enough bytes for <see cref="ReadClusterSize"/>.</summary>
    public const int ProbeLength = 24;

    private const int VersionAt = 4;
    private const int BackingFileOffsetAt = 8;
    private const int BackingFileSizeAt = 16;
    private const int ClusterBitsAt = 20;
    private const int SizeAt = 24;
    private const int CryptMethodAt = 32;
    private const int L1SizeAt = 36;
    private const int L1TableOffsetAt = 40;
    private const int RefcountTableOffsetAt = 48;
    private const int RefcountTableClustersAt = 56;
    private const int NbSnapshotsAt = 60;
    private const int SnapshotsOffsetAt = 64;
    private const int IncompatibleFeaturesAt = 72;
    private const int CompatibleFeaturesAt = 80;
    private const int AutoclearFeaturesAt = 88;
    private const int RefcountOrderAt = 96;
    private const int HeaderLengthAt = 100;

    private static readonly UTF8Encoding s_strictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>2 or 3.</summary>
    public required int Version { get; init; }

    /// <summary>Where the backing file name starts; 0 for none.</summary>
    public HostOffset BackingFileOffset { get; init; }

    /// <summary>The backing file name as it is in the file; empty for none.</summary>
    public ReadOnlyMemory<byte> BackingNameBytes { get; init; }

    /// <summary>backing_file_size as found; it says nothing where there is no backing file, and is kept.</summary>
    public uint BackingFileSize { get; init; }

    /// <summary>log2 of the cluster size in bytes.</summary>
    public required int ClusterBits { get; init; }

    /// <summary>Bytes of the virtual disk. Negative for a value of 2^63 or more, which <see cref="Validate"/> refuses.</summary>
    public required long VirtualSize { get; init; }

    /// <summary>crypt_method.</summary>
    public EncryptionMethod Encryption { get; init; }

    /// <summary>Entries in the active L1 table.</summary>
    public required uint L1Size { get; init; }

    /// <summary>Where the active L1 table starts.</summary>
    public required HostOffset L1TableOffset { get; init; }

    /// <summary>Where the refcount table starts.</summary>
    public required HostOffset RefcountTableOffset { get; init; }

    /// <summary>Clusters of the refcount table.</summary>
    public required uint RefcountTableClusters { get; init; }

    /// <summary>Number of snapshots.</summary>
    public uint SnapshotCount { get; init; }

    /// <summary>Where the snapshot table starts, if there are snapshots.</summary>
    public HostOffset SnapshotsOffset { get; init; }

    /// <summary>Bits that decide whether the image may be opened. None in version 2.</summary>
    public IncompatibleFeatures Incompatible { get; init; }

    /// <summary>Bits that may be ignored. None in version 2.</summary>
    public CompatibleFeatures Compatible { get; init; }

    /// <summary>Bits that a writer clears unless it maintains them. None in version 2.</summary>
    public AutoclearFeatures Autoclear { get; init; }

    /// <summary>log2 of the refcount width in bits; 4 in version 2.</summary>
    public int RefcountOrder { get; init; } = Qcow2Limits.Version2RefcountOrder;

    /// <summary>The bytes from 104 to header_length: compression_type, then fields not known here. Empty in version 2.</summary>
    public ReadOnlyMemory<byte> AdditionalFields { get; init; }

    /// <summary>The header extensions, unknown ones included.</summary>
    public HeaderExtensions Extensions { get; init; } = HeaderExtensions.None;

    /// <summary>Bytes of the header structure; header_length of version 3.</summary>
    public int HeaderLength => Version == 2 ? Version2Length : Version3Length + AdditionalFields.Length;

    /// <summary>First byte after header and extensions: the backing file name may start here.</summary>
    public int AreaLength => HeaderLength + Extensions.Length;

    /// <summary>Bytes in a cluster.</summary>
    public int ClusterSize => 1 << ClusterBits;

    /// <summary>How compressed clusters are compressed. A field that is not present has the value 0.</summary>
    public CompressionType Compression => AdditionalFields.IsEmpty ? CompressionType.Zlib : (CompressionType)AdditionalFields.Span[0];

    /// <summary>True when the image names a backing file.</summary>
    public bool HasBackingFile => BackingFileOffset.Value != 0 && !BackingNameBytes.IsEmpty;

    /// <summary>The name of the backing file; null for none. Valid text once <see cref="Validate"/> has passed.</summary>
    public string? BackingName => HasBackingFile ? s_strictUtf8.GetString(BackingNameBytes.Span) : null;

    /// <summary>The format of the backing file as the image records it; null where it does not.</summary>
    public string? BackingFormat => ExtensionText(HeaderExtensionType.BackingFormat);

    /// <summary>The name of the external data file; null where the image records none.</summary>
    public string? DataFileName => ExtensionText(HeaderExtensionType.DataFileName);

    /// <summary>The sizes that follow from this header. Only after <see cref="Validate"/>.</summary>
    public ClusterGeometry CreateGeometry() => new(ClusterBits, RefcountOrder, HasFeature(IncompatibleFeatures.ExtendedL2) ? L2EntryFormat.Extended : L2EntryFormat.Standard)
    {
        HasDataFile = HasFeature(IncompatibleFeatures.ExternalDataFile),
    };

    /// <summary>True when the bit is set.</summary>
    public bool HasFeature(IncompatibleFeatures feature) => (Incompatible & feature) != 0;

    /// <summary>How many bytes of the file <see cref="Parse"/> needs: one cluster, or the whole file if it is shorter.</summary>
    /// <param name="start">The first <see cref="ProbeLength"/> bytes of the file, or more.</param>
    /// <exception cref="ImageFormatException">InvalidFormat: no qcow2 image, or of an unknown version or cluster size. Unsupported: version 1.</exception>
    public static int ReadClusterSize(ReadOnlySpan<byte> start)
    {
        if (start.Length < ProbeLength)
        {
            throw ImageFormatException.Invalid("length of the file", 0, $"{start.Length} bytes", $"at least {Version2Length}");
        }

        uint magic = BinaryPrimitives.ReadUInt32BigEndian(start);
        if (magic != Magic)
        {
            throw ImageFormatException.Invalid("magic", 0, $"0x{magic:x8}", $"0x{Magic:x8}");
        }

        uint version = BinaryPrimitives.ReadUInt32BigEndian(start[VersionAt..]);
        if (version == 1)
        {
            throw ImageFormatException.Unsupported("version", VersionAt, $"version is 1 at byte {VersionAt}: qcow, the predecessor of qcow2, is not implemented.");
        }

        if (version is not (2 or 3))
        {
            throw ImageFormatException.OutOfRange("version", VersionAt, version, 2, 3);
        }

        uint clusterBits = BinaryPrimitives.ReadUInt32BigEndian(start[ClusterBitsAt..]);
        if (clusterBits is < Qcow2Limits.MinClusterBits or > Qcow2Limits.MaxClusterBits)
        {
            throw ImageFormatException.OutOfRange("cluster_bits", ClusterBitsAt, clusterBits, Qcow2Limits.MinClusterBits, Qcow2Limits.MaxClusterBits);
        }

        return 1 << (int)clusterBits;
    }

    /// <summary>Reads a header from the first cluster of a file. Opens nothing, and keeps no reference to <paramref name="firstCluster"/>.</summary>
    /// <param name="firstCluster">The first cluster, or the whole file if it is shorter.</param>
    /// <exception cref="ImageFormatException">InvalidFormat or Unsupported: something is not as it must be to read on.</exception>
    public static Qcow2Header Parse(ReadOnlySpan<byte> firstCluster)
    {
        int clusterSize = ReadClusterSize(firstCluster);
        ReadOnlySpan<byte> bytes = firstCluster[..Math.Min(firstCluster.Length, clusterSize)];
        int version = (int)BinaryPrimitives.ReadUInt32BigEndian(bytes[VersionAt..]);
        int fixedLength = version == 2 ? Version2Length : Version3Length;
        if (bytes.Length < fixedLength)
        {
            throw ImageFormatException.Invalid("length of the file", 0, $"{bytes.Length} bytes", $"at least {fixedLength}");
        }

        int headerLength = version == 2 ? Version2Length : ReadHeaderLength(bytes);
        uint nameSize = BinaryPrimitives.ReadUInt32BigEndian(bytes[BackingFileSizeAt..]);
        ulong nameOffset = BinaryPrimitives.ReadUInt64BigEndian(bytes[BackingFileOffsetAt..]);
        CheckBackingRange(nameOffset, nameSize, headerLength, bytes.Length);
        int nameAt = (int)nameOffset;
        return new Qcow2Header
        {
            Version = version,
            BackingFileOffset = new(nameAt),
            BackingFileSize = nameSize,
            BackingNameBytes = nameAt == 0 ? default(ReadOnlyMemory<byte>) : bytes.Slice(nameAt, (int)nameSize).ToArray(),
            ClusterBits = (int)BinaryPrimitives.ReadUInt32BigEndian(bytes[ClusterBitsAt..]),
            VirtualSize = BinaryPrimitives.ReadInt64BigEndian(bytes[SizeAt..]),
            Encryption = (EncryptionMethod)BinaryPrimitives.ReadUInt32BigEndian(bytes[CryptMethodAt..]),
            L1Size = BinaryPrimitives.ReadUInt32BigEndian(bytes[L1SizeAt..]),
            L1TableOffset = ReadOffset(bytes, L1TableOffsetAt),
            RefcountTableOffset = ReadOffset(bytes, RefcountTableOffsetAt),
            RefcountTableClusters = BinaryPrimitives.ReadUInt32BigEndian(bytes[RefcountTableClustersAt..]),
            SnapshotCount = BinaryPrimitives.ReadUInt32BigEndian(bytes[NbSnapshotsAt..]),
            SnapshotsOffset = ReadOffset(bytes, SnapshotsOffsetAt),
            Incompatible = version == 2 ? 0 : (IncompatibleFeatures)BinaryPrimitives.ReadUInt64BigEndian(bytes[IncompatibleFeaturesAt..]),
            Compatible = version == 2 ? 0 : (CompatibleFeatures)BinaryPrimitives.ReadUInt64BigEndian(bytes[CompatibleFeaturesAt..]),
            Autoclear = version == 2 ? 0 : (AutoclearFeatures)BinaryPrimitives.ReadUInt64BigEndian(bytes[AutoclearFeaturesAt..]),
            RefcountOrder = version == 2 ? Qcow2Limits.Version2RefcountOrder : BinaryPrimitives.ReadInt32BigEndian(bytes[RefcountOrderAt..]),
            AdditionalFields = version == 2 ? default(ReadOnlyMemory<byte>) : bytes[Version3Length..headerLength].ToArray(),
            Extensions = HeaderExtensions.Parse(bytes, headerLength, nameAt == 0 ? bytes.Length : nameAt),
        };
    }

    /// <summary>Writes header, extensions and backing file name; the bytes between and behind them are left alone.</summary>
    /// <param name="firstCluster">Room for <see cref="AreaLength"/> and for the name at its place.</param>
    public void WriteTo(Span<byte> firstCluster)
    {
        BinaryPrimitives.WriteUInt32BigEndian(firstCluster, Magic);
        BinaryPrimitives.WriteUInt32BigEndian(firstCluster[VersionAt..], (uint)Version);
        BinaryPrimitives.WriteInt64BigEndian(firstCluster[BackingFileOffsetAt..], BackingFileOffset.Value);
        BinaryPrimitives.WriteUInt32BigEndian(firstCluster[BackingFileSizeAt..], BackingFileSize);
        BinaryPrimitives.WriteUInt32BigEndian(firstCluster[ClusterBitsAt..], (uint)ClusterBits);
        BinaryPrimitives.WriteInt64BigEndian(firstCluster[SizeAt..], VirtualSize);
        BinaryPrimitives.WriteUInt32BigEndian(firstCluster[CryptMethodAt..], (uint)Encryption);
        BinaryPrimitives.WriteUInt32BigEndian(firstCluster[L1SizeAt..], L1Size);
        BinaryPrimitives.WriteInt64BigEndian(firstCluster[L1TableOffsetAt..], L1TableOffset.Value);
        BinaryPrimitives.WriteInt64BigEndian(firstCluster[RefcountTableOffsetAt..], RefcountTableOffset.Value);
        BinaryPrimitives.WriteUInt32BigEndian(firstCluster[RefcountTableClustersAt..], RefcountTableClusters);
        BinaryPrimitives.WriteUInt32BigEndian(firstCluster[NbSnapshotsAt..], SnapshotCount);
        BinaryPrimitives.WriteInt64BigEndian(firstCluster[SnapshotsOffsetAt..], SnapshotsOffset.Value);
        if (Version >= 3)
        {
            BinaryPrimitives.WriteUInt64BigEndian(firstCluster[IncompatibleFeaturesAt..], (ulong)Incompatible);
            BinaryPrimitives.WriteUInt64BigEndian(firstCluster[CompatibleFeaturesAt..], (ulong)Compatible);
            BinaryPrimitives.WriteUInt64BigEndian(firstCluster[AutoclearFeaturesAt..], (ulong)Autoclear);
            BinaryPrimitives.WriteInt32BigEndian(firstCluster[RefcountOrderAt..], RefcountOrder);
            BinaryPrimitives.WriteInt32BigEndian(firstCluster[HeaderLengthAt..], HeaderLength);
            AdditionalFields.Span.CopyTo(firstCluster[Version3Length..]);
        }

        Extensions.WriteTo(firstCluster[HeaderLength..]);
        if (BackingFileOffset.Value != 0)
        {
            BackingNameBytes.Span.CopyTo(firstCluster[(int)BackingFileOffset.Value..]);
        }
    }

    private static int ReadHeaderLength(ReadOnlySpan<byte> bytes)
    {
        uint length = BinaryPrimitives.ReadUInt32BigEndian(bytes[HeaderLengthAt..]);
        if (length < Version3Length || length > bytes.Length)
        {
            throw ImageFormatException.OutOfRange("header_length", HeaderLengthAt, length, Version3Length, bytes.Length);
        }

        return length % 8 == 0 ? (int)length : throw ImageFormatException.Invalid("header_length", HeaderLengthAt, $"{length}", "a multiple of 8");
    }

    private static void CheckBackingRange(ulong offset, uint size, int headerLength, int length)
    {
        if (offset == 0)
        {
            return;
        }

        if (offset < (ulong)headerLength || offset > (ulong)length)
        {
            throw ImageFormatException.Invalid("backing_file_offset", BackingFileOffsetAt, $"{offset}", $"0 or {headerLength} to {length}");
        }

        long room = Math.Min(Qcow2Limits.MaxBackingNameLength, length - (long)offset);
        if (size > room)
        {
            throw ImageFormatException.OutOfRange("backing_file_size", BackingFileSizeAt, size, 0, room);
        }
    }

    private static HostOffset ReadOffset(ReadOnlySpan<byte> bytes, int at) => new(BinaryPrimitives.ReadInt64BigEndian(bytes[at..]));

    private string? ExtensionText(HeaderExtensionType type)
        => Extensions.Find(type) is { } extension ? Encoding.UTF8.GetString(extension.Data.Span) : null;
}
