using System.Text;

namespace BlockLayer.TestKit.Formats.CowOverlay;

/// <summary>
/// A second add-cow program, written from the specification's table alone and as plainly as possible: it knows nothing of our record, keeps what it does not
/// know, and works on the bytes of the three files. There is no real tool to compare with, so it is the other side in both directions.
/// </summary>
public sealed class AddCowByTheBook
{
    private readonly byte[] _addCow;
    private readonly byte[] _image;
    private readonly byte[] _backing;

    /// <summary>Opens files; writes change them in place.</summary>
    public AddCowByTheBook(byte[] addCow, byte[] image, byte[] backing) => (_addCow, _image, _backing) = (addCow, image, backing);

    /// <summary>The names as the header has them; the backing name is empty without one.</summary>
    public (string Image, string Backing) Names => (Name(12), Name(4));

    /// <summary>The format of the backing file; empty without one.</summary>
    public string BackingFormat => Encoding.ASCII.GetString(_addCow, 44, 16).TrimEnd('\0');

    /// <summary>True when backing file and bitmap are to be ignored.</summary>
    public bool IsAllAllocated => (_addCow[32] & 1) != 0;

    private int ClusterSize => 1 << BitConverter.ToInt32(_addCow, 20);

    /// <summary>An empty overlay.</summary>
    public static byte[] Create(string image, string backing, string backingFormat, int clusterBits, long length)
    {
        int headerSize = Math.Max(4096, 1 << clusterBits);
        long bitmap = ((length + (1L << clusterBits) - 1 >> clusterBits) + 7) / 8;
        byte[] file = new byte[headerSize + ((bitmap + (1L << clusterBits) - 1) >> clusterBits << clusterBits)];
        "ACOW"u8.CopyTo(file);
        BitConverter.TryWriteBytes(file.AsSpan(4), 76 + image.Length);
        BitConverter.TryWriteBytes(file.AsSpan(8), backing.Length);
        BitConverter.TryWriteBytes(file.AsSpan(12), 76);
        BitConverter.TryWriteBytes(file.AsSpan(16), image.Length);
        BitConverter.TryWriteBytes(file.AsSpan(20), clusterBits);
        BitConverter.TryWriteBytes(file.AsSpan(40), headerSize);
        Encoding.ASCII.GetBytes(backingFormat, file.AsSpan(44));
        "raw"u8.CopyTo(file.AsSpan(60));
        Encoding.ASCII.GetBytes(image + backing, file.AsSpan(76));
        return file;
    }

    /// <summary>Everything the disk holds.</summary>
    public byte[] ReadAll() => [.. Enumerable.Range(0, _image.Length).Select(Read)];

    /// <summary>Writes as the old driver does: the rest of the cluster comes from below, then the bit is set.</summary>
    public void Write(int offset, byte[] data)
    {
        for (int i = 0; i < data.Length; i++)
        {
            int cluster = (offset + i) / ClusterSize;
            for (int at = cluster * ClusterSize; !IsSet(cluster) && at < Math.Min((cluster + 1) * ClusterSize, _image.Length); at++)
            {
                _image[at] = Read(at);
            }

            _addCow[BitConverter.ToInt32(_addCow, 40) + (cluster / 8)] |= (byte)(1 << (cluster % 8));
            _image[offset + i] = data[i];
        }
    }

    /// <summary>True when the cluster is in the image file.</summary>
    public bool IsSet(int cluster)
        => IsAllAllocated || (_addCow[BitConverter.ToInt32(_addCow, 40) + (cluster / 8)] >> (cluster % 8) & 1) != 0;

    private byte Read(int offset) => IsSet(offset / ClusterSize) ? _image[offset] : offset < _backing.Length ? _backing[offset] : (byte)0;

    private string Name(int field) => Encoding.UTF8.GetString(_addCow, BitConverter.ToInt32(_addCow, field), BitConverter.ToInt32(_addCow, field + 4));
}
