using System.Buffers.Binary;
using System.Text;
using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Formats.Qed;

/// <summary>Judges a QED image by its header and the start of its L1 table. What it names is told before anything that could stop the reading.</summary>
internal sealed class QedInspector(InspectionReader file, InspectionFindings findings)
{
    /// <summary>Bytes of the L1 table that are looked at; the rest is the business of a check.</summary>
    private const int TableSample = 64 << 10;

    internal async ValueTask RunAsync(CancellationToken cancellationToken)
    {
        ReadOnlyMemory<byte> start = await file.ReadAsync(0, QedHeader.Size, cancellationToken).ConfigureAwait(false);
        if (!QedHeader.HasMagic(start.Span))
        {
            findings.NotAnImage("magic", 0, "'51454400'", "The file does not start with QED's magic.");
            return;
        }

        try
        {
            var header = QedHeader.Parse(start.Span);
            await TellReferenceAsync(header, cancellationToken).ConfigureAwait(false);
            findings.KnowsReferences = true;
            header.Validate(file.Length);
            findings.VirtualSize = (long)header.ImageSize;
            if (header.NeedsCheck)
            {
                findings.Note("features", null, "The image was not closed cleanly: it is checked before it is written.");
            }

            await JudgeL1TableAsync(header, cancellationToken).ConfigureAwait(false);
        }
        catch (ImageFormatException refusal)
        {
            findings.Refused(refusal);
        }
    }

    // The name is told even where the rest of the header is wrong; whether it may lie there is for Validate to say.
    private async ValueTask TellReferenceAsync(QedHeader header, CancellationToken cancellationToken)
    {
        if (!header.HasBacking)
        {
            return;
        }

        long length = Math.Min(header.BackingNameSize, QedLimits.MaxBackingNameLength);
        ReadOnlyMemory<byte> bytes = await file.ReadAsync(header.BackingNameOffset, length, cancellationToken).ConfigureAwait(false);
        string name = Encoding.UTF8.GetString(bytes.Span);
        bool isRaw = (header.Features & QedFeatures.BackingIsRaw) != 0;
        findings.Refers(
            new FileReference(FileReferenceRole.Backing, name, isRaw ? "raw" : null),
            "backing_filename_offset",
            header.BackingNameOffset,
            $"It names '{name}' as its backing file{(isRaw ? "" : ", whose format is left to its magic")}.");
        BackingName.Decode(header, bytes.Span);
    }

    private async ValueTask JudgeL1TableAsync(QedHeader header, CancellationToken cancellationToken)
    {
        var extent = new ImageExtent(header, file.Length);
        long length = header.Geometry.L1EntriesFor((long)header.ImageSize) * (long)L2Entry.Size;
        ReadOnlyMemory<byte> bytes = await file.ReadAsync((long)header.L1TableOffset, Math.Min(length, TableSample), cancellationToken).ConfigureAwait(false);
        HashSet<ulong> tables = [];
        for (int at = 0; at + L2Entry.Size <= bytes.Length; at += L2Entry.Size)
        {
            ulong offset = BinaryPrimitives.ReadUInt64LittleEndian(bytes.Span[at..]);
            if (offset == 0)
            {
                continue;
            }

            OffsetFault fault = extent.JudgeTable(offset);
            if (fault != OffsetFault.None || !tables.Add(offset))
            {
                string why = fault != OffsetFault.None ? extent.Describe(fault) : "is used by another entry too";
                findings.Damaged("L1 entry", (long)header.L1TableOffset + at, "a table of its own inside the file", $"An L1 entry holds 0x{offset:x}, which {why}.");
                return;
            }
        }

        if (bytes.Length < length)
        {
            findings.Note("L1 table", (long)header.L1TableOffset, $"The first {bytes.Length} of {length} bytes of the L1 table were looked at.");
        }
    }
}
