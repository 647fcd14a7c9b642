using System.Buffers.Binary;
using BlockLayer.Errors;
using BlockLayer.Requests;

namespace BlockLayer.Formats.Qcow2;

/// <summary>Reads what a stored bitmap says: its table, and the clusters that the table leads to. qcow2 spec, "Bitmap table" and "Bitmap data".</summary>
/// <remarks>
/// The table ends inside the file, every cluster that is read starts inside it, and there are no more of them than the file has, so reading costs no more than
/// the file holds; what a table says to be all zeroes or all ones is not spelled out in memory.
/// </remarks>
internal static class BitmapContent
{
    private const int ReadLength = 64 << 10;

    /// <summary>Clusters that hold the bits of a bitmap.</summary>
    public static long ClustersFor(ClusterGeometry g, long virtualSize, int granularityBits)
        => g.ClustersFor((DirtyBitmap.BitsFor(virtualSize, granularityBits) + 7) / 8);

    /// <summary>The bits of a bitmap that <see cref="BitmapDirectoryEntry.FindObstacle"/> has nothing against, and that is not in use.</summary>
    /// <exception cref="ImageFormatException">Corrupt: an entry of the table cannot be followed.</exception>
    public static async ValueTask<DirtyBitmap> LoadAsync(
        IMetadataReader file, ClusterGeometry g, BitmapDirectoryEntry bitmap, long virtualSize, CancellationToken cancellationToken)
    {
        var bits = new DirtyBitmap(virtualSize, bitmap.GranularityBits);
        long bitsPerCluster = 8L * g.ClusterSize;
        byte[] cluster = new byte[g.ClusterSize];
        int used = (int)Math.Min(bitmap.TableEntries, ClustersFor(g, virtualSize, bitmap.GranularityBits));
        ulong[] table = await LoadTableAsync(file, bitmap, used, cancellationToken).ConfigureAwait(false);
        long clustersLeft = g.ClustersFor(file.Length);
        for (int i = 0; i < table.Length; i++)
        {
            BitmapTableEntry entry = new(table[i]);
            if (!entry.IsValid(g) || entry.HostOffset.Value >= file.Length)
            {
                long position = bitmap.TableOffset.Value + ((long)i * BitmapTableEntry.Size);
                throw ImageFormatException.Corrupt(
                    "bitmap table entry", position, $"Entry {i} of the table of bitmap '{bitmap.Name}', 0x{entry.Raw:x16} at byte {position}, leads to no cluster of the file.");
            }

            if (entry.IsOnes)
            {
                bits.ImportOnes(i * bitsPerCluster, bitsPerCluster);
            }
            else if (entry.HostOffset.Value != 0)
            {
                if (clustersLeft-- == 0)
                {
                    throw ImageFormatException.Corrupt(
                        "bitmap table", bitmap.TableOffset.Value, $"The table of bitmap '{bitmap.Name}' at byte {bitmap.TableOffset.Value} leads to more clusters than the file has.");
                }

                await file.ReadPaddedAsync(entry.HostOffset.Value, cluster, cancellationToken).ConfigureAwait(false);
                bits.ImportBits(i * bitsPerCluster, cluster);
            }
        }

        return bits;
    }

    /// <summary>The clusters that a bitmap occupies, table and bits, as often as they occur. Entries that cannot be followed are left out.</summary>
    public static async ValueTask<IReadOnlyList<HostCluster>> FindClustersAsync(
        IMetadataReader file, ClusterGeometry g, BitmapDirectoryEntry bitmap, CancellationToken cancellationToken)
    {
        if (bitmap.TableEntries is 0 or > (uint)Qcow2Limits.MaxBitmapTableEntries || bitmap.TableOffset.Value <= 0 || !bitmap.TableOffset.IsAligned(g) || bitmap.TableRange.Length > file.Length - bitmap.TableOffset.Value)
        {
            return [];
        }

        List<HostCluster> clusters = [];
        HostCluster first = bitmap.TableOffset.Cluster(g);
        for (long i = 0; i < g.ClustersFor(bitmap.TableRange.Length); i++)
        {
            clusters.Add(first.Plus(i));
        }

        foreach (ulong word in await LoadTableAsync(file, bitmap, (int)bitmap.TableEntries, cancellationToken).ConfigureAwait(false))
        {
            BitmapTableEntry entry = new(word);
            if (entry.IsValid(g) && entry.HostOffset.Value != 0 && entry.HostOffset.Value < file.Length)
            {
                clusters.Add(entry.HostOffset.Cluster(g));
            }
        }

        return clusters;
    }

    private static async ValueTask<ulong[]> LoadTableAsync(IMetadataReader file, BitmapDirectoryEntry bitmap, int entries, CancellationToken cancellationToken)
    {
        ulong[] table = new ulong[entries];
        byte[] part = new byte[Math.Min(ReadLength, entries * BitmapTableEntry.Size)];
        for (int done = 0; done < entries;)
        {
            int count = Math.Min(part.Length / BitmapTableEntry.Size, entries - done);
            await file.ReadPaddedAsync(
                bitmap.TableOffset.Value + ((long)done * BitmapTableEntry.Size), part.AsMemory(0, count * BitmapTableEntry.Size), cancellationToken).ConfigureAwait(false);
            for (int i = 0; i < count; i++)
            {
                table[done + i] = BinaryPrimitives.ReadUInt64BigEndian(part.AsSpan(i * BitmapTableEntry.Size));
            }

            done += count;
        }

        return table;
    }
}
