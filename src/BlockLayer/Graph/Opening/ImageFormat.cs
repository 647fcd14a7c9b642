using BlockLayer.Errors;

namespace BlockLayer.Graph;

/// <summary>An image format, as the opener sees it. Reading a header opens nothing else: what it refers to is opened by the opener, under a policy.</summary>
public abstract class ImageFormat
{
    private protected ImageFormat()
    {
    }

    /// <summary>How many bytes at the start of a file <see cref="Probe"/> wants to see.</summary>
    public const int ProbeLength = 512;

    /// <summary>The format's name, as qemu-img spells it.</summary>
    public abstract string Name { get; }

    /// <summary>True when its images can keep states of the disk: its nodes are then <see cref="ISnapshotImage"/>s, and open one that the context names.</summary>
    internal virtual bool SupportsSnapshots => false;

    /// <summary>True when its images can store dirty bitmaps: its nodes are then <see cref="IBitmapImage"/>s.</summary>
    internal virtual bool StoresBitmaps => false;

    /// <summary>True when there are images of this format that can store compressed data; which ones, <see cref="BlockLimits.SupportsCompressedWrites"/> says.</summary>
    internal virtual bool StoresCompressed => false;

    /// <summary>True when the file starts as one of this format does. Raw never claims a file.</summary>
    /// <param name="head">The first <see cref="ProbeLength"/> bytes, fewer if the file is shorter.</param>
    public abstract bool Probe(ReadOnlySpan<byte> head);

    /// <summary>Reads create options in qemu-img's spelling (<c>-o cluster_size=64k,compat=1.1</c>) on top of <paramref name="basic"/>.</summary>
    /// <exception cref="ArgumentException">An option the format does not have, or a value it does not take. The message lists what it has.</exception>
    public abstract ImageCreateOptions ParseCreateOptions(ImageCreateOptions basic, IReadOnlyDictionary<string, string> options);

    /// <summary>The same format, opening images with these options, in QEMU's spelling. The default takes none.</summary>
    /// <exception cref="ArgumentException">An option the format does not have, or a value it does not take.</exception>
    public virtual ImageFormat WithOpenOptions(IReadOnlyDictionary<string, string> options)
        => options.Count == 0 ? this : throw new ArgumentException($"Format {Name} has no option '{options.Keys.First()}' to open an image with; it has none.");

    /// <summary>The second file that an image with these options keeps its data in; null for none. Whoever creates the image creates it first, as a raw disk of its length.</summary>
    internal virtual NewDataFile? DataFileOf(ImageCreateOptions options) => null;

    /// <summary>Opens the image in <paramref name="file"/>, without what it refers to. On success the node owns the file; on failure the caller still does.</summary>
    /// <exception cref="BlockLayerException">InvalidFormat, Corrupt, Unsupported, Io, ReadOnly.</exception>
    internal abstract ValueTask<BlockNode> OpenAsync(BlockNode file, FormatOpenContext context, CancellationToken cancellationToken);

    /// <summary>
    /// Judges the file as one of this format: reads no more than <paramref name="file"/> lets it, opens nothing, and says everything by findings. A format
    /// without a judge of its own is never called safe.
    /// </summary>
    internal virtual ValueTask InspectAsync(InspectionReader file, InspectionFindings findings, CancellationToken cancellationToken)
    {
        findings.Refused(ImageFormatException.Unsupported("format", 0, $"Images of format {Name} cannot be inspected."));
        return ValueTask.CompletedTask;
    }

    /// <summary>Refuses what <see cref="CreateAsync"/> could not do at <paramref name="path"/>, while whatever stands there has not been touched.</summary>
    /// <exception cref="ArgumentException">As <see cref="CreateAsync"/>.</exception>
    /// <exception cref="BlockLayerException">Denied, Conflict, Unsupported, InvalidFormat, Io.</exception>
    internal virtual ValueTask ThrowIfCannotCreateAsync(
        string path,
        ImageCreateOptions options,
        BlockEnvironment environment,
        CancellationToken cancellationToken) => ValueTask.CompletedTask;

    /// <summary>Writes an empty image into <paramref name="file"/>, which is empty, and flushes it. The caller keeps the file.</summary>
    /// <exception cref="ArgumentException">Options that the format does not take, or that contradict each other.</exception>
    /// <exception cref="BlockLayerException">NoSpace, Io.</exception>
    internal abstract ValueTask CreateAsync(BlockNode file, ImageCreateOptions options, CancellationToken cancellationToken);
}
