using System.Text;

namespace BlockLayer.Formats.Qcow2;

/// <summary>The optional header extension that names feature bits for programs that do not know them. qcow2 spec, "Feature name table".</summary>
internal static class FeatureNameTable
{
    /// <summary>Bytes in an entry: bitmap, bit number, name padded with zeroes.</summary>
    public const int EntryLength = 48;

    private const byte Incompatible = 0;
    private const byte Compatible = 1;
    private const byte Autoclear = 2;
    private const int NameAt = 2;

    /// <summary>The table for the features the specification defines, in QEMU's order.</summary>
    public static HeaderExtension Create()
    {
        (byte Type, byte Bit, string Name)[] entries =
        [
            (Incompatible, 0, "dirty bit"),
            (Incompatible, 1, "corrupt bit"),
            (Incompatible, 2, "external data file"),
            (Incompatible, 3, "compression type"),
            (Incompatible, 4, "extended L2 entries"),
            (Compatible, 0, "lazy refcounts"),
            (Autoclear, 0, "bitmaps"),
            (Autoclear, 1, "raw external data"),
        ];
        byte[] data = new byte[entries.Length * EntryLength];
        for (int i = 0; i < entries.Length; i++)
        {
            Span<byte> entry = data.AsSpan(i * EntryLength, EntryLength);
            entry[0] = entries[i].Type;
            entry[1] = entries[i].Bit;
            Encoding.ASCII.GetBytes(entries[i].Name, entry[NameAt..]);
        }

        return HeaderExtension.Create(HeaderExtensionType.FeatureNameTable, data);
    }

    /// <summary>The name an image gives to one of its incompatible feature bits, made printable; null if it gives none.</summary>
    public static string? FindIncompatible(HeaderExtensions extensions, int bit)
    {
        ReadOnlySpan<byte> table = extensions.Find(HeaderExtensionType.FeatureNameTable) is { } found ? found.Data.Span : [];
        for (; table.Length >= EntryLength; table = table[EntryLength..])
        {
            if (table[0] == Incompatible && table[1] == bit)
            {
                return Printable(table[NameAt..EntryLength]);
            }
        }

        return null;
    }

    /// <summary>The name comes from an untrusted file and ends up in logs: anything but printable ASCII becomes a question mark.</summary>
    private static string Printable(ReadOnlySpan<byte> name)
    {
        int end = name.IndexOf((byte)0);
        StringBuilder text = new();
        foreach (byte b in end < 0 ? name : name[..end])
        {
            text.Append(b is >= 0x20 and < 0x7f ? (char)b : '?');
        }

        return text.ToString();
    }
}
