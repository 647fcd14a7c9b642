using System.Numerics;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qed;

/// <summary>QED: clusters behind two levels of tables, kept safe by the order of writes alone. Specified in QEMU's docs/interop/qed_spec.</summary>
public sealed class QedFormat : ImageFormat
{
    /// <summary>The format.</summary>
    public static QedFormat Instance { get; } = new();

    /// <inheritdoc/>
    public override string Name => "qed";

    /// <inheritdoc/>
    public override bool Probe(ReadOnlySpan<byte> head) => QedHeader.HasMagic(head);

    /// <inheritdoc/>
    public override ImageCreateOptions ParseCreateOptions(ImageCreateOptions basic, IReadOnlyDictionary<string, string> options)
    {
        var result = new QedCreateOptions { Length = basic.Length, Backing = basic.Backing };
        foreach ((string name, string value) in options)
        {
            result = name switch
            {
                "cluster_size" => result with { ClusterSize = ParseSize(name, value) },
                "table_size" => result with { TableSize = ParseSize(name, value) },
                _ => throw new ArgumentException($"Format qed has no option '{name}'; it has cluster_size and table_size."),
            };
        }

        return result;
    }

    internal override async ValueTask<BlockNode> OpenAsync(BlockNode file, FormatOpenContext context, CancellationToken cancellationToken)
        => await QedNode.OpenAsync(file, context, (int)Math.Clamp(context.TableCacheLength ?? QedLimits.DefaultTableCacheLength, 0, int.MaxValue), cancellationToken).ConfigureAwait(false);

    internal override ValueTask InspectAsync(InspectionReader file, InspectionFindings findings, CancellationToken cancellationToken)
        => new QedInspector(file, findings).RunAsync(cancellationToken);

    internal override ValueTask ThrowIfCannotCreateAsync(string path, ImageCreateOptions options, BlockEnvironment environment, CancellationToken cancellationToken)
    {
        _ = MakeHeader(options);
        return ValueTask.CompletedTask;
    }

    internal override async ValueTask CreateAsync(BlockNode file, ImageCreateOptions options, CancellationToken cancellationToken)
    {
        (QedHeader header, byte[] name) = MakeHeader(options);
        byte[] head = new byte[Alignment.RoundUp(QedHeader.Size + name.Length, QedLimits.SectorSize)];
        header.WriteTo(head);
        name.CopyTo(head, QedHeader.Size);

        // The L1 table is a hole: all zeroes, nothing allocated.
        await file.ResizeAsync(header.FirstClusterOffset + header.Geometry.TableLength, ResizeOptions.GrowOnly, cancellationToken).ConfigureAwait(false);
        await file.WriteAsync(0, head, WriteFlags.None, cancellationToken).ConfigureAwait(false);
        await file.FlushAsync(cancellationToken).ConfigureAwait(false);
    }

    private static (QedHeader Header, byte[] BackingName) MakeHeader(ImageCreateOptions basic)
    {
        QedCreateOptions options = basic as QedCreateOptions ?? new QedCreateOptions { Length = basic.Length, Backing = basic.Backing };
        ThrowIfNotPowerOfTwo("cluster_size", options.ClusterSize, QedLimits.MinClusterSize, QedLimits.MaxClusterSize);
        ThrowIfNotPowerOfTwo("table_size", options.TableSize, QedLimits.MinCreatedTableSize, QedLimits.MaxTableSize);
        long maximum = new QedGeometry(options.ClusterSize, options.TableSize).MaxImageSize;
        if (options.Length < 0 || options.Length > maximum)
        {
            throw new ArgumentException(
                $"The length is {options.Length} bytes; with cluster_size {options.ClusterSize} and table_size {options.TableSize} "
                + $"a QED image takes 0 to {maximum}.");
        }

        (byte[] name, QedFeatures features) = options.Backing is { } backing ? BackingName.Encode(backing) : ([], QedFeatures.None);
        var header = new QedHeader
        {
            ClusterSize = (uint)options.ClusterSize,
            TableSize = (uint)options.TableSize,
            HeaderSize = 1,
            Features = features,
            L1TableOffset = (ulong)options.ClusterSize,
            ImageSize = (ulong)Alignment.RoundUp(options.Length, QedLimits.SectorSize),
            BackingNameOffset = name.Length > 0 ? QedHeader.Size : 0u,
            BackingNameSize = (uint)name.Length,
        };
        return (header, name);
    }

    private static int ParseSize(string name, string value)
        => ByteSize.TryParse(value, out long bytes) && bytes <= int.MaxValue
            ? (int)bytes
            : throw new ArgumentException($"{name} is '{value}', which is no size.");

    private static void ThrowIfNotPowerOfTwo(string option, int value, int minimum, int maximum)
    {
        if (!BitOperations.IsPow2(value) || value < minimum || value > maximum)
        {
            throw new ArgumentException($"{option} is {value}; QED images are created with a power of two from {minimum} to {maximum}.");
        }
    }
}
