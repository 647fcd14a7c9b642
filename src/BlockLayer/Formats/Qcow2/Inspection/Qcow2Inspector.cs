using System.Buffers.Binary;
using System.Text;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Judges a qcow2 image by its header and the start of each table that the header leads to. What it names is told before anything that could stop the
/// reading, so a damaged image does not hide what it refers to.
/// </summary>
internal sealed class Qcow2Inspector(InspectionReader file, InspectionFindings findings)
{
    /// <summary>Bytes of a table that are looked at; the rest is the business of a check.</summary>
    private const int TableSample = 64 << 10;

    internal async ValueTask RunAsync(CancellationToken cancellationToken)
    {
        ReadOnlyMemory<byte> start = await file.ReadAsync(0, Qcow2Header.ProbeLength, cancellationToken).ConfigureAwait(false);
        if (start.Length < sizeof(uint) || BinaryPrimitives.ReadUInt32BigEndian(start.Span) != Qcow2Header.Magic)
        {
            findings.NotAnImage("magic", 0, $"0x{Qcow2Header.Magic:x8}", "The file does not start with qcow2's magic.");
            return;
        }

        try
        {
            int clusterSize = Qcow2Header.ReadClusterSize(start.Span);
            ReadOnlyMemory<byte> cluster = await file.ReadAsync(0, clusterSize, cancellationToken).ConfigureAwait(false);
            var header = Qcow2Header.Parse(cluster.Span);
            TellReferences(header);
            findings.KnowsReferences = true;
            TellState(header);
            header.Validate(file.Length);
            findings.VirtualSize = header.VirtualSize;
            await JudgeTablesAsync(header, cancellationToken).ConfigureAwait(false);
        }
        catch (ImageFormatException refusal)
        {
            findings.Refused(refusal);
        }
    }

    private void TellReferences(Qcow2Header header)
    {
        if (header.HasBackingFile)
        {
            string name = Encoding.UTF8.GetString(header.BackingNameBytes.Span);
            findings.Refers(
                new FileReference(FileReferenceRole.Backing, name, header.BackingFormat),
                "backing_file_offset",
                header.BackingFileOffset.Value,
                $"It names '{name}' as its backing file{(header.BackingFormat is null ? ", without that file's format" : "")}.");
        }

        bool hasDataFile = header.HasFeature(IncompatibleFeatures.ExternalDataFile);
        if (hasDataFile || header.DataFileName is not null)
        {
            findings.Refers(
                new FileReference(FileReferenceRole.Data, header.DataFileName, "raw"),
                "external data file",
                null,
                header.DataFileName is not { } data ? "Its guest's data is in another file, which it does not name."
                    : hasDataFile ? $"It names '{data}' as the file with its guest's data."
                    : $"It names '{data}' as the file with its guest's data, although the bit of incompatible_features is clear that says there is one.");
        }

        if (header.Autoclear.HasFlag(AutoclearFeatures.RawExternalData) && !hasDataFile)
        {
            findings.Note("autoclear_features", null, "The bit \"raw external data\" is set although there is no external data file.");
        }
    }

    private void TellState(Qcow2Header header)
    {
        if (header.HasFeature(IncompatibleFeatures.Corrupt))
        {
            findings.Damaged("incompatible_features", null, "the bit \"corrupt\" clear", "The image is marked corrupt: it can be read, and must be repaired before it is written.");
        }

        if (header.HasFeature(IncompatibleFeatures.Dirty))
        {
            findings.Note("incompatible_features", null, "The image is marked dirty: its refcounts are rebuilt before it is written.");
        }

        if (header.Encryption != EncryptionMethod.None)
        {
            findings.Note("crypt_method", null, $"The guest's data is encrypted ({header.Encryption}).");
        }
    }

    private async ValueTask JudgeTablesAsync(Qcow2Header header, CancellationToken cancellationToken)
    {
        ClusterGeometry g = header.CreateGeometry();
        await JudgeWordsAsync(
            "L1 table", header.L1TableOffset, header.L1Size, word => new L1Entry(word).Validate(g, file.Length), cancellationToken).ConfigureAwait(false);
        await JudgeWordsAsync(
            "refcount table",
            header.RefcountTableOffset,
            (long)header.RefcountTableClusters * g.ClusterSize / RefcountTableEntry.Size,
            word => new RefcountTableEntry(word).Validate(g, file.Length),
            cancellationToken).ConfigureAwait(false);
        await JudgeSnapshotsAsync(header, g, cancellationToken).ConfigureAwait(false);
        await JudgeBitmapsAsync(header, g, cancellationToken).ConfigureAwait(false);
        JudgeEncryptionHeader(header, g);
    }

    private async ValueTask JudgeWordsAsync(string table, HostOffset start, long count, Func<ulong, EntryFault> judge, CancellationToken cancellationToken)
    {
        ReadOnlyMemory<byte> bytes = await SampleAsync(table, start.Value, count * sizeof(ulong), cancellationToken).ConfigureAwait(false);
        long bad = 0;
        ImageFormatException? first = null;
        for (int at = 0; at + sizeof(ulong) <= bytes.Length; at += sizeof(ulong))
        {
            ulong word = BinaryPrimitives.ReadUInt64BigEndian(bytes.Span[at..]);
            EntryFault fault = judge(word);
            if (fault != EntryFault.None)
            {
                bad++;
                first ??= fault.ToException($"{table} entry", word, start.Plus(at));
            }
        }

        if (first is not null)
        {
            findings.Damaged($"{table} entry", first.Offset, first.Expected, bad == 1 ? first.Message : $"{first.Message} So do or are damaged otherwise {bad - 1} more entries.");
        }
    }

    private async ValueTask JudgeSnapshotsAsync(Qcow2Header header, ClusterGeometry g, CancellationToken cancellationToken)
    {
        if (header.SnapshotCount == 0)
        {
            return;
        }

        long start = header.SnapshotsOffset.Value;
        ImageFormatException? fault = header.FindSnapshotPlaceFault(g)
            ?? header.FindSnapshotCountFault()
            ?? header.FindSnapshotOverlap(new ByteRange(start, SnapshotEntry.FixedLength), g);
        if (fault is not null)
        {
            findings.Refused(fault);
            return;
        }

        ReadOnlyMemory<byte> bytes = await file.ReadAsync(start, TableSample, cancellationToken).ConfigureAwait(false);
        HashSet<string> ids = [];
        int at = 0;
        for (uint i = 0; i < header.SnapshotCount; i++)
        {
            int length = at + SnapshotEntry.FixedLength <= bytes.Length ? SnapshotEntry.ReadLength(bytes.Span[at..], new HostOffset(start + at)) : SnapshotEntry.FixedLength;
            if (length > bytes.Length - at)
            {
                if (start + at + length > file.Length)
                {
                    findings.Damaged("snapshot table", start, $"{header.SnapshotCount} snapshots", $"The snapshot table goes on behind the end of the file, after {i} of {header.SnapshotCount} snapshots.");
                }
                else
                {
                    findings.Note("snapshot table", start, $"The first {i} of {header.SnapshotCount} snapshots were looked at.");
                }

                return;
            }

            var entry = new SnapshotEntry(bytes.Slice(at, length));
            entry.Validate(g, new HostOffset(start + at), file.Length);
            if (!ids.Add(entry.Id))
            {
                findings.Damaged("unique ID of a snapshot", start + at, "an ID of its own", $"Two snapshots have the ID '{entry.Id}'.");
            }

            at += (int)Alignment.RoundUp(length, 8);
        }
    }

    private async ValueTask JudgeBitmapsAsync(Qcow2Header header, ClusterGeometry g, CancellationToken cancellationToken)
    {
        if (header.Extensions.Find(HeaderExtensionType.Bitmaps) is not { } found)
        {
            return;
        }

        if (!header.Autoclear.HasFlag(AutoclearFeatures.Bitmaps))
        {
            findings.Note("Bitmaps extension", null, "The image holds bitmaps that are no longer kept: autoclear_features says that they are not consistent.");
            return;
        }

        if (found.Data.Length != BitmapsExtension.Size)
        {
            findings.Damaged("Bitmaps extension", null, $"{BitmapsExtension.Size} bytes", $"The bitmaps extension is {found.Data.Length} bytes long.");
            return;
        }

        var extension = BitmapsExtension.Parse(found.Data.Span);
        long start = extension.DirectoryOffset.Value;
        if (!extension.IsValid(g) || start > file.Length || extension.DirectoryLength > file.Length - start)
        {
            findings.Damaged("Bitmaps extension", null, "a directory inside the file, within the limits", $"The bitmap directory of {extension.Count} bitmaps, {extension.DirectoryLength} bytes at byte {start}, cannot be one.");
            return;
        }

        ReadOnlyMemory<byte> directory = await SampleAsync("bitmap directory", start, extension.DirectoryLength, cancellationToken).ConfigureAwait(false);
        bool isWhole = directory.Length == extension.DirectoryLength;
        HashSet<string> names = [];
        int at = 0;
        for (uint i = 0; i < extension.Count; i++)
        {
            if (!BitmapDirectoryEntry.TryParse(directory.Span[at..], out BitmapDirectoryEntry? entry, out int length))
            {
                if (isWhole)
                {
                    findings.Damaged("bitmap directory", start + at, $"{extension.Count} bitmaps", $"The bitmap directory ends after {i} of {extension.Count} bitmaps.");
                }

                return;
            }

            if (!entry!.IsValid(g, header.VirtualSize) || !names.Add(entry.Name))
            {
                findings.Damaged("bitmap directory entry", start + at, "a table that covers the disk, within the limits, under a name of its own", $"The bitmap '{entry.Name}' cannot be used.");
            }

            at += length;
        }
    }

    /// <summary>qcow2 spec, "Full disk encryption header pointer": offset and length, the offset a cluster's.</summary>
    private void JudgeEncryptionHeader(Qcow2Header header, ClusterGeometry g)
    {
        if (header.Extensions.Find(HeaderExtensionType.EncryptionHeader) is not { } found)
        {
            return;
        }

        const int Size = 16;
        long offset = found.Data.Length == Size ? BinaryPrimitives.ReadInt64BigEndian(found.Data.Span) : -1;
        long length = found.Data.Length == Size ? BinaryPrimitives.ReadInt64BigEndian(found.Data.Span[8..]) : -1;
        if (offset <= 0 || length <= 0 || !new HostOffset(offset).IsAligned(g) || offset > file.Length || length > file.Length - offset)
        {
            findings.Damaged("Full disk encryption header pointer", null, "a cluster inside the file", "The encryption header cannot be where the image says it is.");
        }
    }

    private async ValueTask<ReadOnlyMemory<byte>> SampleAsync(string table, long offset, long length, CancellationToken cancellationToken)
    {
        ReadOnlyMemory<byte> bytes = await file.ReadAsync(offset, Math.Min(length, TableSample), cancellationToken).ConfigureAwait(false);
        if (bytes.Length < length)
        {
            findings.Note(table, offset, $"The first {bytes.Length} of {length} bytes of the {table} were looked at.");
        }

        return bytes;
    }
}
