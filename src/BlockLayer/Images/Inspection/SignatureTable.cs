using System.Buffers.Binary;
using BlockLayer.Graph;

namespace BlockLayer.Images;

/// <summary>Recognises, by signature alone, what is not read here but must not be mistaken for anything else. One file may show several.</summary>
internal static class SignatureTable
{
    /// <summary>Bytes at the start of a file that hold every signature: ISO 9660 has the last, in its first volume descriptor.</summary>
    internal const int HeadLength = IsoDescriptorAt + 2048;

    /// <summary>Bytes at the end of a file that hold every signature.</summary>
    internal const int TailLength = 512;

    private const int SectorSize = 512;
    private const int IsoDescriptorAt = 32768;
    private const int PartitionTableAt = 446;
    private const int PartitionEntryLength = 16;
    private const int BootSignatureAt = 510;

    private static readonly Signature[] s_head =
    [
        // Version 1 of what qcow2 is versions 2 and 3 of; 0 never was.
        new("qcow", 0, RecognisedKind.Image, [0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 0]),
        new("qcow", 0, RecognisedKind.Image, [0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 1]),

        // Virtual Disk Format 5.0: a sparse extent, the older one of ESX, and the descriptor as a text file.
        new("vmdk", 0, RecognisedKind.Image, [.. "KDMV"u8]),
        new("vmdk", 0, RecognisedKind.Image, [.. "COWD"u8]),
        new("vmdk", 0, RecognisedKind.Image, [.. "# Disk DescriptorFile"u8]),

        // Dynamic and differencing disks start with a copy of the footer.
        new("vpc", 0, RecognisedKind.Image, [.. "conectix"u8]),
        new("vhdx", 0, RecognisedKind.Image, [.. "vhdxfile"u8]),
        new("vdi", 64, RecognisedKind.Image, [0x7f, 0x10, 0xda, 0xbe]),
        new("parallels", 0, RecognisedKind.Image, [.. "WithoutFreeSpace"u8]),
        new("parallels", 0, RecognisedKind.Image, [.. "WithouFreSpacExt"u8]),
        new("luks", 0, RecognisedKind.DiskContent, [.. "LUKS"u8, 0xba, 0xbe]),
        new("iso9660", IsoDescriptorAt + 1, RecognisedKind.DiskContent, [.. "CD001"u8]),
        new("gpt", SectorSize, RecognisedKind.DiskContent, [.. "EFI PART"u8]),
        new("gpt", 4096, RecognisedKind.DiskContent, [.. "EFI PART"u8]), // disks with 4 KiB sectors
    ];

    // Positions are counted from the last sector of the file.
    private static readonly Signature[] s_tail =
    [
        new("vpc", 0, RecognisedKind.Image, [.. "conectix"u8]),
        new("vpc", 1, RecognisedKind.Image, [.. "conectix"u8]), // footers of 511 bytes, by old versions of Virtual PC
        new("dmg", 0, RecognisedKind.Image, [.. "koly"u8]),
        new("gpt", 0, RecognisedKind.DiskContent, [.. "EFI PART"u8]),
    ];

    /// <summary>Everything that is recognised, by ascending position; a name only once.</summary>
    /// <param name="formats">The formats that are read here, which have their own magic.</param>
    /// <param name="head">The first <see cref="HeadLength"/> bytes, fewer if the file is shorter.</param>
    /// <param name="tail">The last <see cref="TailLength"/> bytes, fewer if the file is shorter.</param>
    /// <param name="length">Bytes in the file.</param>
    internal static IReadOnlyList<RecognisedContent> Find(FormatRegistry formats, ReadOnlySpan<byte> head, ReadOnlySpan<byte> tail, long length)
    {
        List<RecognisedContent> found = [];
        foreach (ImageFormat format in formats.Formats)
        {
            if (format.Probe(head[..Math.Min(ImageFormat.ProbeLength, head.Length)]))
            {
                found.Add(new RecognisedContent(format.Name, 0, RecognisedKind.Image));
            }
        }

        AddMatches(found, s_head, head, 0);
        if (IsPartitioned(head))
        {
            found.Add(new RecognisedContent("mbr", BootSignatureAt, RecognisedKind.DiskContent));
        }

        AddMatches(found, s_tail, tail, length - tail.Length);
        return [.. found.OrderBy(content => content.Offset).DistinctBy(content => content.Name)];
    }

    private static void AddMatches(List<RecognisedContent> found, Signature[] signatures, ReadOnlySpan<byte> bytes, long start)
    {
        foreach (Signature signature in signatures)
        {
            if (bytes.Length >= signature.At && bytes[signature.At..].StartsWith(signature.Bytes))
            {
                found.Add(new RecognisedContent(signature.Name, start + signature.At, signature.Kind));
            }
        }
    }

    /// <summary>
    /// True for a partition table: the boot signature, which boot sectors of file systems have too, and four entries that are empty or could be partitions, one of
    /// them a partition.
    /// </summary>
    private static bool IsPartitioned(ReadOnlySpan<byte> head)
    {
        if (head.Length < SectorSize || BinaryPrimitives.ReadUInt16LittleEndian(head[BootSignatureAt..]) != 0xaa55)
        {
            return false;
        }

        int partitions = 0;
        for (int at = PartitionTableAt; at < BootSignatureAt; at += PartitionEntryLength)
        {
            ReadOnlySpan<byte> entry = head.Slice(at, PartitionEntryLength);
            byte status = entry[0];
            byte type = entry[4];
            uint sectors = BinaryPrimitives.ReadUInt32LittleEndian(entry[12..]);
            if (status is not (0 or 0x80))
            {
                return false;
            }

            partitions += type != 0 && sectors != 0 ? 1 : 0;
        }

        return partitions > 0;
    }

    private sealed record Signature(string Name, int At, RecognisedKind Kind, byte[] Bytes);
}
