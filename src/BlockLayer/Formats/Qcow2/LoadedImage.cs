using System.Runtime.InteropServices;
using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

/// <summary>What is read of an image to open it: the header, and the two tables that are kept in memory whole.</summary>
/// <param name="Header">Validated against the real length of the file.</param>
/// <param name="FirstCluster">The bytes it was read from.</param>
/// <param name="L1">The active L1 table.</param>
/// <param name="RefcountTable">The refcount table; empty for a read-only open, which needs none.</param>
internal sealed record LoadedImage(Qcow2Header Header, byte[] FirstCluster, WordTable L1, WordTable RefcountTable)
{
    /// <summary>Bytes of the disk that <see cref="L1"/> maps: the header's, unless it is a snapshot's.</summary>
    internal long Length { get; init; } = Header.VirtualSize;

    /// <summary>The directory of the bitmaps, none of their bits. Of an image that is opened; when tables are exchanged, the bitmaps stay.</summary>
    internal BitmapDirectory Bitmaps { get; private init; } = BitmapDirectory.Empty;

    /// <summary>What is told of the encryption; null where there is none. Of an image that is opened, as the bitmaps are.</summary>
    internal EncryptionDetails? Encryption { get; private init; }

    /// <summary>Reads and judges an image. Reads nothing but this file, and no more of it than its real length allows.</summary>
    /// <exception cref="ImageFormatException">InvalidFormat, Corrupt, or Unsupported by name.</exception>
    internal static async ValueTask<LoadedImage> ReadAsync(BlockNode file, NodeAccess access, OpenPurpose purpose, CancellationToken cancellationToken)
    {
        byte[] start = new byte[Math.Min(Qcow2Header.ProbeLength, file.Length)];
        await file.ReadAsync(0, start, ReadFlags.None, cancellationToken).ConfigureAwait(false);
        int clusterSize = Qcow2Header.ReadClusterSize(start);
        byte[] firstCluster = new byte[clusterSize];
        await file.ReadAsync(0, firstCluster.AsMemory(0, (int)Math.Min(clusterSize, file.Length)), ReadFlags.None, cancellationToken).ConfigureAwait(false);
        Qcow2Header header = Qcow2Header.Parse(firstCluster.AsSpan(0, (int)Math.Min(clusterSize, file.Length)));
        header.Validate(file.Length);
        if (access == NodeAccess.ReadWrite && purpose == OpenPurpose.Use)
        {
            RequireWritable(header);
        }

        int refcountWords = access == NodeAccess.ReadWrite ? (int)(header.RefcountTableClusters * clusterSize / RefcountTableEntry.Size) : 0;
        return new LoadedImage(
            header,
            firstCluster,
            await ReadTableAsync(file, header.L1TableOffset, (int)header.L1Size, cancellationToken).ConfigureAwait(false),
            await ReadTableAsync(file, header.RefcountTableOffset, refcountWords, cancellationToken).ConfigureAwait(false))
        {
            Bitmaps = await BitmapDirectory.LoadAsync(new NodeMetadataReader(file), header, cancellationToken).ConfigureAwait(false),
            Encryption = await EncryptionDetails.ReadAsync(file, header, cancellationToken).ConfigureAwait(false),
        };
    }

    /// <summary>The same image, showing the disk of a snapshot.</summary>
    /// <exception cref="BlockLayerException">NotFound; InvalidFormat or Corrupt: the snapshot cannot be followed; Io.</exception>
    internal async ValueTask<LoadedImage> ShowSnapshotAsync(BlockNode file, string idOrName, CancellationToken cancellationToken)
    {
        var reader = new NodeMetadataReader(file);
        SnapshotEntry snapshot = (await SnapshotTableLoader.LoadAsync(reader, Header, cancellationToken).ConfigureAwait(false)).Find(idOrName);
        ClusterGeometry geometry = Header.CreateGeometry();
        snapshot.Validate(geometry, Header.SnapshotsOffset, file.Length);
        return this with
        {
            L1 = new WordTable(snapshot.L1TableOffset, await snapshot.LoadL1Async(reader, cancellationToken).ConfigureAwait(false)),
            Length = snapshot.RequireDiskSize(geometry, Header.VirtualSize),
        };
    }

    private static void RequireWritable(Qcow2Header header)
    {
        if (header.HasFeature(IncompatibleFeatures.Corrupt))
        {
            throw new BlockLayerException(
                BlockErrorKind.Corrupt, "incompatible_features has the bit \"corrupt\": the image can be read, and must be repaired before it is written.");
        }
    }

    private static async ValueTask<WordTable> ReadTableAsync(BlockNode file, HostOffset start, int count, CancellationToken cancellationToken)
    {
        if (count == 0)
        {
            return new WordTable(start, []); // it may start anywhere, behind the end of the file too
        }

        byte[] bytes = new byte[count * sizeof(ulong)];
        await file.ReadAsync(start.Value, bytes, ReadFlags.None, cancellationToken).ConfigureAwait(false);
        ulong[] words = MemoryMarshal.Cast<byte, ulong>(bytes).ToArray();
        WordTable.SwapBytes(words);
        return new WordTable(start, words);
    }

    private sealed class NodeMetadataReader(BlockNode file) : IMetadataReader
    {
        public long Length => file.Length;

        public ValueTask ReadPaddedAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
            => file.ReadPaddedAsync(Origin.Door, offset, buffer, ReadFlags.None, cancellationToken);
    }
}
