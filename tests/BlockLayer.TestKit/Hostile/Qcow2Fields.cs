using System.Buffers.Binary;
using BlockLayer.Formats.Qcow2;

namespace BlockLayer.TestKit.Hostile;

/// <summary>Where the numbers are in a sound qcow2 image: header first, then what it leads to. qcow2 spec, the tables of each section.</summary>
internal static class Qcow2Fields
{
    private static readonly FieldSpot[] s_header =
    [
        new(4, 4, "version"), new(8, 8, "backing_file_offset"), new(16, 4, "backing_file_size"), new(20, 4, "cluster_bits"), new(24, 8, "size"),
        new(32, 4, "crypt_method"), new(36, 4, "l1_size"), new(40, 8, "l1_table_offset"), new(48, 8, "refcount_table_offset"),
        new(56, 4, "refcount_table_clusters"), new(60, 4, "nb_snapshots"), new(64, 8, "snapshots_offset"), new(72, 8, "incompatible_features"),
        new(80, 8, "compatible_features"), new(88, 8, "autoclear_features"), new(96, 4, "refcount_order"), new(100, 4, "header_length"), new(104, 1, "compression_type"),
    ];

    internal static IReadOnlyList<FieldSpot> Of(byte[] image)
    {
        Qcow2Header header = Qcow2Header.Parse(image);
        ClusterGeometry g = header.CreateGeometry();
        List<FieldSpot> fields = [.. s_header.Where(spot => spot.Offset < header.HeaderLength)];
        AddExtensions(fields, header);
        AddSnapshots(fields, image, header);
        AddBitmaps(fields, image, header);
        AddWords(fields, "L1 table entry", header.L1TableOffset.Value, header.L1Size);
        for (int i = 0; i < header.L1Size; i++)
        {
            var entry = new L1Entry(Word(image, header.L1TableOffset.Value + (8 * i)));
            if (entry.IsAllocated)
            {
                AddWords(fields, "L2 table entry", entry.L2Table.Value, g.ClusterSize / 8, word => image.Length >= word + 8 && Word(image, word) != 0);
            }
        }

        long refcountWords = (long)header.RefcountTableClusters * g.ClusterSize / 8;
        AddWords(fields, "refcount table entry", header.RefcountTableOffset.Value, Math.Min(refcountWords, 4));
        var block = new RefcountTableEntry(Word(image, header.RefcountTableOffset.Value));
        AddWords(fields, "refcount block", block.Block.Value, Math.Min(g.ClusterSize / 8, 32));
        return fields;
    }

    private static void AddExtensions(List<FieldSpot> fields, Qcow2Header header)
    {
        int at = header.HeaderLength;
        foreach (HeaderExtension extension in header.Extensions.Items)
        {
            fields.Add(new(at, 4, "extension type"));
            fields.Add(new(at + 4, 4, "extension length"));
            for (int data = 0; data + 8 <= extension.Data.Length && extension.Type != HeaderExtensionType.FeatureNameTable; data += 8)
            {
                fields.Add(new(at + 8 + data, 8, $"extension 0x{(uint)extension.Type:x8} data"));
            }

            at += extension.Length;
        }
    }

    private static void AddSnapshots(List<FieldSpot> fields, byte[] image, Qcow2Header header)
    {
        int at = (int)header.SnapshotsOffset.Value;
        for (int i = 0; i < header.SnapshotCount; i++)
        {
            (int Offset, int Width)[] spots = [(0, 8), (8, 4), (12, 2), (14, 2), (32, 4), (36, 4), (40, 8), (48, 8)];
            fields.AddRange(spots.Select(spot => new FieldSpot(at + spot.Offset, spot.Width, "snapshot")));
            var entry = new SnapshotEntry(image.AsMemory(at, SnapshotEntry.ReadLength(image.AsSpan(at), new HostOffset(at))));
            AddWords(fields, "snapshot's L1 table entry", entry.L1TableOffset.Value, entry.L1Size);
            at += (entry.Raw.Length + 7) / 8 * 8;
        }
    }

    private static void AddBitmaps(List<FieldSpot> fields, byte[] image, Qcow2Header header)
    {
        if (header.Extensions.Find(HeaderExtensionType.Bitmaps) is not { } found)
        {
            return;
        }

        var extension = BitmapsExtension.Parse(found.Data.Span);
        int at = (int)extension.DirectoryOffset.Value;
        for (int i = 0; i < extension.Count && BitmapDirectoryEntry.TryParse(image.AsSpan(at, (int)extension.DirectoryLength), out BitmapDirectoryEntry? entry, out int length); i++)
        {
            (int Offset, int Width)[] spots = [(0, 8), (8, 4), (12, 4), (16, 1), (17, 1), (18, 2), (20, 4)];
            fields.AddRange(spots.Select(spot => new FieldSpot(at + spot.Offset, spot.Width, "bitmap directory entry")));
            AddWords(fields, "bitmap table entry", entry!.TableOffset.Value, entry.TableEntries);
            at += length;
        }
    }

    private static void AddWords(List<FieldSpot> fields, string name, long offset, long count, Func<int, bool>? wanted = null)
    {
        for (int i = 0; i < count; i++)
        {
            int at = (int)offset + (8 * i);
            if (wanted?.Invoke(at) ?? true)
            {
                fields.Add(new FieldSpot(at, 8, name));
            }
        }
    }

    private static ulong Word(byte[] image, long at) => BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan((int)at));
}
