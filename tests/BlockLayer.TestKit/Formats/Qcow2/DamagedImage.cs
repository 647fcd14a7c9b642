using System.Buffers.Binary;
using BlockLayer.Formats.Qcow2;

namespace BlockLayer.TestKit.Formats.Qcow2;

/// <summary>An image in memory whose metadata can be reached and spoiled.</summary>
internal sealed class DamagedImage
{
    public DamagedImage(byte[] file)
    {
        File = file;
        Header = Qcow2Header.Parse(file);
        Geometry = Header.CreateGeometry();
        RefcountBlock = new RefcountTableEntry(Read(RefcountTable)).Block.Value;
    }

    /// <summary>The bytes.</summary>
    public byte[] File { get; private set; }

    /// <summary>The header as it was before any damage.</summary>
    public Qcow2Header Header { get; }

    public ClusterGeometry Geometry { get; }

    public long L1 => Header.L1TableOffset.Value;

    public long RefcountTable => Header.RefcountTableOffset.Value;

    /// <summary>The first refcount block.</summary>
    public long RefcountBlock { get; }

    /// <summary>Where the first L1 entry with a table is.</summary>
    public long UsedL1Entry => Enumerable.Range(0, (int)Header.L1Size).Select(i => L1 + i * 8L).First(at => new L1Entry(Read(at)).IsAllocated);

    /// <summary>The first L2 table.</summary>
    public long L2 => new L1Entry(Read(UsedL1Entry)).L2Table.Value;

    /// <summary>Where the entries of the first L2 table are that satisfy a condition.</summary>
    public IEnumerable<long> L2Entries(Func<L2Entry, bool> condition)
    {
        long table = L2;
        return Enumerable.Range(0, Geometry.L2Entries).Select(i => table + (long)i * Geometry.L2EntrySize).Where(at => condition(new L2Entry(Read(at))));
    }

    /// <summary>Where the n-th entry with data in a cluster of its own is.</summary>
    public long DataEntry(int n = 0) => L2Entries(static entry => !entry.IsCompressed && entry.HostOffset.Value != 0).ElementAt(n);

    /// <summary>Where entries with compressed streams are, in the first L2 table.</summary>
    public IEnumerable<long> StreamEntries => L2Entries(static entry => entry.IsCompressed);

    /// <summary>Where L1 entries with a table are.</summary>
    public IEnumerable<long> UsedL1Entries => Enumerable.Range(0, (int)Header.L1Size).Select(i => L1 + i * 8L).Where(at => new L1Entry(Read(at)).IsAllocated);

    /// <summary>The snapshot table.</summary>
    public long Snapshots => Header.SnapshotsOffset.Value;

    /// <summary>The second entry of the snapshot table.</summary>
    public long SecondSnapshot
    {
        get
        {
            Span<byte> first = File.AsSpan((int)Snapshots);
            return Snapshots + ((SnapshotEntry.ReadLength(first, Header.SnapshotsOffset) + 7) & ~7);
        }
    }

    /// <summary>The bitmap directory; null where there is none.</summary>
    public long? BitmapDirectory
        => Header.Extensions.Find(HeaderExtensionType.Bitmaps) is { } found ? BitmapsExtension.Parse(found.Data.Span).DirectoryOffset.Value : null;

    /// <summary>The table of the first bitmap.</summary>
    public long BitmapTable => (long)Read(BitmapDirectory!.Value);

    /// <summary>Where the first host cluster of data starts.</summary>
    public long Data => new L2Entry(Read(DataEntry())).HostOffset.Value;

    public ulong Read(long at) => BinaryPrimitives.ReadUInt64BigEndian(File.AsSpan((int)at));

    public void Write(long at, ulong value) => BinaryPrimitives.WriteUInt64BigEndian(File.AsSpan((int)at), value);

    public void Write32(long at, uint value) => BinaryPrimitives.WriteUInt32BigEndian(File.AsSpan((int)at), value);

    public void Flip(long at, ulong bits) => Write(at, Read(at) ^ bits);

    public void Resize(long length)
    {
        byte[] file = File;
        Array.Resize(ref file, (int)length);
        File = file;
    }
}
