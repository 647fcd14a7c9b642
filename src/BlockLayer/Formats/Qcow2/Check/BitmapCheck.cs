using System.Buffers.Binary;
using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

/// <summary>Counts what the stored bitmaps take: their directory, tables and clusters. Their content is not looked at.</summary>
internal sealed class BitmapCheck(IMetadataReader file, ClusterGeometry g, Qcow2Header header, ReferenceCounter references, CheckTally tally)
{
    private const int ReadLength = 64 << 10;

    /// <summary>Looks through all bitmaps. Without the autoclear bit the extension is out of date: nobody uses what it refers to.</summary>
    public async ValueTask CheckAsync(CancellationToken cancellationToken)
    {
        if ((header.Autoclear & AutoclearFeatures.Bitmaps) == 0 || header.Extensions.Find(HeaderExtensionType.Bitmaps) is not { } found)
        {
            return;
        }

        if (found.Data.Length != BitmapsExtension.Size || BitmapsExtension.Parse(found.Data.Span) is var extension && !extension.IsValid(g))
        {
            LeaveOut("The bitmaps extension in the header is not valid.");
            return;
        }

        extension = BitmapsExtension.Parse(found.Data.Span);
        references.AddMetadata(extension.DirectoryOffset, extension.DirectoryLength, references.Structures);
        if (extension.DirectoryLength > file.Length - extension.DirectoryOffset.Value)
        {
            LeaveOut("The bitmap directory does not end inside the file.");
            return;
        }

        byte[] directory = new byte[extension.DirectoryLength];
        await file.ReadPaddedAsync(extension.DirectoryOffset.Value, directory, cancellationToken).ConfigureAwait(false);
        if (ReadDirectory(directory, extension.Count) is not { } bitmaps)
        {
            LeaveOut($"The bitmap directory at byte {extension.DirectoryOffset.Value} is damaged.");
            return;
        }

        long tables = 0;
        foreach (BitmapDirectoryEntry bitmap in bitmaps)
        {
            references.AddMetadata(bitmap.TableOffset, bitmap.TableRange.Length, references.Structures);
            tables += bitmap.TableRange.Length;
            if (tables > file.Length)
            {
                LeaveOut("The tables of the bitmaps are longer than the file, so they overlap.");
                return;
            }

            await CheckTableAsync(bitmap, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>The bitmaps; null where the directory does not hold exactly as many valid ones as the extension says.</summary>
    private List<BitmapDirectoryEntry>? ReadDirectory(ReadOnlySpan<byte> directory, uint count)
    {
        List<BitmapDirectoryEntry> bitmaps = [];
        while (!directory.IsEmpty)
        {
            if (!BitmapDirectoryEntry.TryParse(directory, out BitmapDirectoryEntry? entry, out int length) || !entry!.IsValid(g, header.VirtualSize))
            {
                return null;
            }

            bitmaps.Add(entry);
            directory = directory[length..];
        }

        return bitmaps.Count == count ? bitmaps : null;
    }

    private async ValueTask CheckTableAsync(BitmapDirectoryEntry bitmap, CancellationToken cancellationToken)
    {
        byte[] buffer = new byte[Math.Min(ReadLength, bitmap.TableRange.Length)];
        for (long done = 0; done < bitmap.TableRange.Length; done += buffer.Length)
        {
            Memory<byte> part = buffer.AsMemory(0, (int)Math.Min(buffer.Length, bitmap.TableRange.Length - done));
            await file.ReadPaddedAsync(bitmap.TableOffset.Value + done, part, cancellationToken).ConfigureAwait(false);
            CheckEntries(part.Span, bitmap.TableOffset.Plus(done));
        }
    }

    private void CheckEntries(ReadOnlySpan<byte> entries, HostOffset at)
    {
        for (int i = 0; i < entries.Length; i += BitmapTableEntry.Size)
        {
            BitmapTableEntry entry = new(BinaryPrimitives.ReadUInt64BigEndian(entries[i..]));
            if (!entry.IsValid(g))
            {
                Corruption($"Bitmap table entry 0x{entry.Raw:x16} at byte {at.Value + i} is not valid.");
            }
            else if (entry.HostOffset.Value != 0)
            {
                references.AddMetadata(entry.HostOffset, g.ClusterSize, references.Structures);
            }
        }
    }

    private void LeaveOut(string message)
    {
        tally.IsIncomplete = true;
        Corruption(message);
    }

    private void Corruption(string message)
    {
        if (tally.Corruption())
        {
            tally.Describe(ImageFaultKind.Corruption, message);
        }
    }
}
