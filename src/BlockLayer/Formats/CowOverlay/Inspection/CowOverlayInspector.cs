using System.Text;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.CowOverlay;

/// <summary>
/// Judges an add-cow file by its header area. It always names another file, which holds the data, so it is never safe by itself; the names are told before
/// anything that could stop the reading. The disk's size is the image file's, which is not looked at.
/// </summary>
internal sealed class CowOverlayInspector(InspectionReader file, InspectionFindings findings)
{
    internal async ValueTask RunAsync(CancellationToken cancellationToken)
    {
        ReadOnlyMemory<byte> start = await file.ReadAsync(0, CowOverlayHeader.Size, cancellationToken).ConfigureAwait(false);
        if (!CowOverlayHeader.HasMagic(start.Span))
        {
            findings.NotAnImage("magic", 0, "'41434F57'", "The file does not start with add-cow's magic.");
            return;
        }

        try
        {
            if (start.Length >= CowOverlayHeader.Size)
            {
                await TellReferencesAsync(CowOverlayHeader.ReadFields(start.Span), cancellationToken).ConfigureAwait(false);
            }

            var header = CowOverlayHeader.Parse(start.Span, file.Length);
            await JudgeNamesAsync(header, cancellationToken).ConfigureAwait(false);
        }
        catch (ImageFormatException refusal)
        {
            findings.Refused(refusal);
        }
    }

    private async ValueTask TellReferencesAsync(CowOverlayHeader header, CancellationToken cancellationToken)
    {
        string image = await ReadLooselyAsync(header.ImageNameRange, cancellationToken).ConfigureAwait(false);
        string imageFormat = header.ImageFormat.Length > 0 ? header.ImageFormat : "raw";
        findings.Refers(
            new FileReference(FileReferenceRole.Data, image, imageFormat),
            "image_filename",
            header.ImageNameOffset,
            $"It names '{image}' ({imageFormat}) as its image file, which holds the data and is written.");
        if (!header.HasBacking)
        {
            return;
        }

        string backing = await ReadLooselyAsync(header.BackingNameRange, cancellationToken).ConfigureAwait(false);
        string? backingFormat = header.BackingFormat.Length > 0 ? header.BackingFormat : null;
        findings.Refers(
            new FileReference(FileReferenceRole.Backing, backing, backingFormat),
            "backing_filename",
            header.BackingNameOffset,
            $"It names '{backing}' as its backing file{(backingFormat is null ? ", without a format" : $" ({backingFormat})")}.");
        if (header.IsAllAllocated)
        {
            findings.Note("compatible_features", null, "The backing file is named and not needed: everything is in the image file.");
        }
    }

    private async ValueTask JudgeNamesAsync(CowOverlayHeader header, CancellationToken cancellationToken)
    {
        string image = await ReadAsync("image_filename", header.ImageNameRange, cancellationToken).ConfigureAwait(false);
        string? backing = header.HasBacking
            ? await ReadAsync("backing_filename", header.BackingNameRange, cancellationToken).ConfigureAwait(false)
            : null;
        if (image == backing)
        {
            findings.Damaged("image_filename", header.ImageNameOffset, "another name than the backing file's", "The image file and the backing file have one name.");
        }
    }

    private async ValueTask<string> ReadAsync(string field, ByteRange range, CancellationToken cancellationToken)
    {
        ReadOnlyMemory<byte> bytes = await file.ReadAsync(range.Offset, range.Length, cancellationToken).ConfigureAwait(false);
        return FileName.Decode(field, range.Offset, bytes.Span);
    }

    // Whatever it claims, no more than a name is read.
    private async ValueTask<string> ReadLooselyAsync(ByteRange range, CancellationToken cancellationToken)
    {
        long length = Math.Min(range.Length, CowOverlayLimits.MaxNameLength);
        ReadOnlyMemory<byte> bytes = await file.ReadAsync(range.Offset, length, cancellationToken).ConfigureAwait(false);
        return Encoding.UTF8.GetString(bytes.Span);
    }
}
