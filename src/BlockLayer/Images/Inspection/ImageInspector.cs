using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.Images;

/// <summary>
/// Looks at files of unknown origin before anything opens them. It reads a bounded number of bytes of the one file, opens nothing else, and never throws
/// because of what is in it.
/// </summary>
public static class ImageInspector
{
    /// <summary>The most bytes that are read of a file, whatever its headers claim.</summary>
    public const int MaxBytesRead = 4 << 20;

    /// <summary>Inspects a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="options">How; null for the defaults.</param>
    /// <param name="cancellationToken">Honoured before each read.</param>
    /// <remarks>
    /// The verdict is about reading the file as <see cref="ImageInspection.Format"/>. Everything else it can be taken for is in <see cref="ImageInspection.Recognised"/>
    /// and has a reason of its own ("It also looks like ..."), by which the verdict gets worse or stays:
    /// <list type="bullet">
    /// <item>The magic of another format: a program that guesses opens it as that, so what this reading would open counts too. A file of several formats is
    /// <see cref="InspectionVerdict.Safe"/> only if every one of them was judged here and none opens another file.</item>
    /// <item>A format that cannot be judged here, or a header that is refused before it has told what it names: <see cref="InspectionVerdict.Unsupported"/> at best.</item>
    /// <item>Partitions or file systems in an image, whose guest they are not: a note. Nobody opens a file because of them, and who takes the image
    /// for a raw disk reads what is in it, no more.</item>
    /// </list>
    /// </remarks>
    /// <exception cref="BlockLayerException">The file cannot be opened or read: NotFound, Denied, Conflict, Io. Unsupported: there is no such format.</exception>
    public static async ValueTask<ImageInspection> InspectAsync(string path, InspectOptions? options = null, CancellationToken cancellationToken = default)
    {
        options ??= new InspectOptions();
        ImageFormat? declared = options.Format is { } name ? BuiltInFormats.All.Get(name, path) : null;
        var how = new StorageOpenOptions { Lock = options.Locking == ImageLocking.Take ? ImageLock.Reader : null };
        BlockStorage file = await options.Environment.Files.OpenAsync(path, how, cancellationToken).ConfigureAwait(false);
        await using (file.ConfigureAwait(false))
        {
            return await InspectAsync(path, file, declared, cancellationToken).ConfigureAwait(false);
        }
    }

    private static async ValueTask<ImageInspection> InspectAsync(string path, BlockStorage file, ImageFormat? declared, CancellationToken cancellationToken)
    {
        InspectionReader reader = await InspectionReader.StartAsync(file, SignatureTable.HeadLength, MaxBytesRead, cancellationToken).ConfigureAwait(false);
        long tailAt = Math.Max(0, reader.Length - SignatureTable.TailLength);
        ReadOnlyMemory<byte> tail = await reader.ReadAsync(tailAt, SignatureTable.TailLength, cancellationToken).ConfigureAwait(false);
        IReadOnlyList<RecognisedContent> recognised = SignatureTable.Find(BuiltInFormats.All, reader.Head.Span, tail.Span, reader.Length);

        List<InspectionFindings> readings = [];
        foreach (ImageFormat format in FormatsToRead(declared, recognised))
        {
            var findings = new InspectionFindings(format.Name);
            await format.InspectAsync(reader, findings, cancellationToken).ConfigureAwait(false);
            readings.Add(findings);
        }

        return Judge(path, reader, recognised, readings);
    }

    /// <summary>First the format the verdict is about, then others that a program might take the file for.</summary>
    private static List<ImageFormat> FormatsToRead(ImageFormat? declared, IReadOnlyList<RecognisedContent> recognised)
    {
        List<ImageFormat> formats = declared is null ? [] : [declared];
        formats.AddRange(BuiltInFormats.All.Formats.Where(format => format != declared && recognised.Any(content => content.Name == format.Name)));
        bool isDisk = recognised.Count > 0 && recognised.All(content => content.Kind == RecognisedKind.DiskContent);
        if (formats.Count == 0 && isDisk)
        {
            formats.Add(BuiltInFormats.All.Get("raw"));
        }

        return formats;
    }

    private static ImageInspection Judge(string path, InspectionReader reader, IReadOnlyList<RecognisedContent> recognised, List<InspectionFindings> readings)
    {
        List<InspectionReason> reasons = [.. readings.Take(1).SelectMany(reading => reading.Reasons)];
        string? format = readings.FirstOrDefault()?.Reading;
        InspectionVerdict verdict = readings.FirstOrDefault()?.Verdict ?? InspectionVerdict.Safe;
        foreach (InspectionFindings other in readings.Skip(1))
        {
            reasons.Add(new InspectionReason(
                InspectionVerdict.Safe, other.Reading, "magic", 0, null, $"It also looks like {other.Reading}, as it starts: a program that guesses formats opens it as that."));
            reasons.AddRange(other.Reasons);
            verdict = Worse(verdict, OfGuess(other));
        }

        foreach (RecognisedContent foreign in recognised.Where(content => content.Kind == RecognisedKind.Image && readings.All(reading => reading.Reading != content.Name)))
        {
            reasons.Add(new InspectionReason(
                InspectionVerdict.Unsupported, foreign.Name, "signature", foreign.Offset, null,
                $"It {(format is null ? "" : "also ")}looks like {foreign.Name}, by what is at byte {foreign.Offset}: what opening it as that would do is not known here."));
            verdict = Worse(verdict, InspectionVerdict.Unsupported);
            format ??= foreign.Name;
        }

        reasons.AddRange(NotesOnContent(format, recognised));
        if (format is null)
        {
            verdict = InspectionVerdict.NotAnImage;
            reasons.Add(new InspectionReason(
                verdict, "any", "signature", null, "the signature of an image format, or of a partition table or file system",
                "It shows no known signature. If it is a raw disk, that has to be said: its guest decides what it looks like."));
        }

        return new ImageInspection
        {
            Path = path,
            Verdict = verdict,
            Format = format,
            VirtualSize = readings.FirstOrDefault()?.VirtualSize,
            FileLength = reader.Length,
            BytesRead = reader.BytesRead,
            Recognised = recognised,
            References = [.. readings.SelectMany(reading => reading.References).Distinct()],
            Reasons = reasons,
        };
    }

    /// <summary>
    /// What is for a disk and stands in another place: all of it in an image, whose guest sees something else; in a raw disk what goes beyond one partition table, of
    /// which GPT is two, for which of the contents is found depends on who looks.
    /// </summary>
    private static IEnumerable<InspectionReason> NotesOnContent(string? format, IReadOnlyList<RecognisedContent> recognised)
    {
        List<RecognisedContent> contents = [.. recognised.Where(content => content.Kind == RecognisedKind.DiskContent)];
        if (format == "raw")
        {
            RecognisedContent? first = contents.FirstOrDefault();
            bool isGpt = contents.Any(content => content.Name == "gpt");
            contents.RemoveAll(content => content == first || (isGpt && content.Name is "gpt" or "mbr"));
        }

        return contents.Select(content => new InspectionReason(
            InspectionVerdict.Safe,
            content.Name,
            "signature",
            content.Offset,
            null,
            format == "raw"
                ? $"It also looks like {content.Name}, by what is at byte {content.Offset}: what a program finds in it depends on the program."
                : $"It also looks like {content.Name}, by what is at byte {content.Offset}: a program that takes it for a raw disk finds that, and a guest of the {format} image does not."));
    }

    /// <summary>What a reading by somebody who guesses adds: a damaged image is refused by everybody, unless somebody is less strict, so what it names counts all the same.</summary>
    private static InspectionVerdict OfGuess(InspectionFindings reading)
        => reading.References.Count > 0 ? InspectionVerdict.ReferencesOtherFiles
            : reading.Verdict == InspectionVerdict.Unsupported || !reading.KnowsReferences ? InspectionVerdict.Unsupported
            : InspectionVerdict.Safe;

    private static InspectionVerdict Worse(InspectionVerdict left, InspectionVerdict right) => left > right ? left : right;
}
