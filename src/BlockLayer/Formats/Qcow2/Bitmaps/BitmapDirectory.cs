using BlockLayer.Errors;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>The bitmap directory as it is on disk. qcow2 spec, "Bitmap directory". Immutable.</summary>
/// <param name="Range">Where it lies; empty without bitmaps.</param>
/// <param name="Entries">The bitmaps in file order.</param>
internal sealed record BitmapDirectory(ByteRange Range, IReadOnlyList<BitmapDirectoryEntry> Entries)
{
    /// <summary>No bitmaps.</summary>
    public static BitmapDirectory Empty { get; } = new(default, []);

    /// <summary>Why the directory cannot be used; null when it can. The image can be read, and must not be written: its bitmaps would become untrue.</summary>
    public ImageFormatException? Damage { get; private init; }

    /// <summary>
    /// Reads the directory of an image, no more of the file than is there. Without the autoclear bit the extension is out of date, and what it refers to may be
    /// anything by now: there are no bitmaps then. Damage is an answer here, because the disk can be read all the same.
    /// </summary>
    public static async ValueTask<BitmapDirectory> LoadAsync(IMetadataReader file, Qcow2Header header, CancellationToken cancellationToken)
    {
        if ((header.Autoclear & AutoclearFeatures.Bitmaps) == 0 || header.Extensions.Find(HeaderExtensionType.Bitmaps) is not { } found)
        {
            return Empty;
        }

        if (found.Data.Length != BitmapsExtension.Size)
        {
            return Damaged("bitmaps extension", 0, $"The bitmaps extension has {found.Data.Length} bytes instead of {BitmapsExtension.Size}");
        }

        var extension = BitmapsExtension.Parse(found.Data.Span);
        if (!extension.IsValid(header.CreateGeometry()) || extension.DirectoryLength > file.Length - extension.DirectoryOffset.Value)
        {
            return Damaged(
                "bitmaps extension",
                extension.DirectoryOffset.Value,
                $"The bitmaps extension says that {extension.Count} bitmaps are described by {extension.DirectoryLength} bytes at byte {extension.DirectoryOffset.Value}, which cannot be");
        }

        byte[] bytes = new byte[extension.DirectoryLength];
        await file.ReadPaddedAsync(extension.DirectoryOffset.Value, bytes, cancellationToken).ConfigureAwait(false);
        return Parse(extension, bytes);
    }

    /// <summary>The bytes of a directory with these entries.</summary>
    public static byte[] ToBytes(IReadOnlyCollection<BitmapDirectoryEntry> entries)
    {
        byte[] bytes = new byte[entries.Sum(static entry => entry.Length)];
        int at = 0;
        foreach (BitmapDirectoryEntry entry in entries)
        {
            at += entry.WriteTo(bytes.AsSpan(at));
        }

        return bytes;
    }

    private static BitmapDirectory Parse(BitmapsExtension extension, ReadOnlySpan<byte> bytes)
    {
        List<BitmapDirectoryEntry> entries = [];
        HashSet<string> names = [];
        for (int at = 0; at < bytes.Length;)
        {
            long position = extension.DirectoryOffset.Value + at;
            if (!BitmapDirectoryEntry.TryParse(bytes[at..], out BitmapDirectoryEntry? entry, out int length))
            {
                return Damaged("bitmap directory", position, $"The entry of the bitmap directory at byte {position} does not end in it");
            }

            if (!names.Add(entry!.Name))
            {
                return Damaged("bitmap directory", position, $"The bitmap directory has two entries for '{entry.Name}'; the second is at byte {position}");
            }

            entries.Add(entry);
            at += length;
        }

        return entries.Count == extension.Count
            ? new BitmapDirectory(new ByteRange(extension.DirectoryOffset.Value, extension.DirectoryLength), entries)
            : Damaged("bitmap directory", extension.DirectoryOffset.Value, $"The bitmap directory has {entries.Count} entries; the header says {extension.Count}");
    }

    private static BitmapDirectory Damaged(string field, long position, string sentence) => Empty with
    {
        Damage = ImageFormatException.Corrupt(field, position, $"{sentence}; the image can be read, and must be repaired before it is written."),
    };
}
