using System.Numerics;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Storage;

namespace BlockLayer.Formats.CowOverlay;

/// <summary>Judges what is asked of a new overlay, and writes its add-cow file.</summary>
internal sealed class CowOverlayCreator
{
    private readonly string _path;
    private readonly CowOverlayCreateOptions _options;
    private readonly BlockEnvironment _environment;
    private readonly string _imageName;

    /// <exception cref="ArgumentException">Options that are missing or that the format does not take.</exception>
    internal CowOverlayCreator(string path, ImageCreateOptions options, BlockEnvironment environment)
    {
        _path = path;
        _environment = environment;
        _options = options as CowOverlayCreateOptions ?? new CowOverlayCreateOptions { Length = options.Length, Backing = options.Backing };
        _imageName = _options.ImageFile
            ?? throw new ArgumentException("Format add-cow needs image_file, the name of the raw file that is to hold the data.");
        int cluster = _options.ClusterSize;
        if (!BitOperations.IsPow2(cluster) || cluster < 1 << CowOverlayLimits.MinClusterBits || cluster > 1 << CowOverlayLimits.MaxClusterBits)
        {
            throw new ArgumentException($"cluster_size is {cluster}; add-cow overlays have a power of two from 4096 to 2097152.");
        }

        ArgumentOutOfRangeException.ThrowIfNegative(_options.Length, "length");
    }

    /// <summary>Refuses what could not be written, or would overwrite somebody's data, while nothing has been touched yet.</summary>
    /// <exception cref="BlockLayerException">Denied (the image file exists and holds data), Conflict, Unsupported, InvalidFormat (equal names), Io.</exception>
    internal async ValueTask ThrowIfImpossibleAsync(CancellationToken cancellationToken)
    {
        FileName.Encode("image file", _imageName);
        if (_options.Backing is { } backing)
        {
            FileName.Encode("backing file", backing.Name);
            FileName.EncodeFormat(backing.Format);
            if (backing.Name == _imageName)
            {
                throw Refusal(BlockErrorKind.InvalidFormat, $"'{_imageName}' would be the image file and the backing file, which writes would overwrite.");
            }
        }

        string path = ReferenceResolver.PathOf(_path, _imageName);
        if (_environment.Files.GetInfo(path) is not null)
        {
            await ThrowIfInUseAsync(path, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Writes the add-cow file and makes its content durable. Whoever creates the image has made the image file.</summary>
    internal async ValueTask CreateAsync(BlockNode file, CancellationToken cancellationToken)
    {
        byte[] imageName = FileName.Encode("image file", _imageName);
        byte[] backingName = _options.Backing is { } backing ? FileName.Encode("backing file", backing.Name) : [];
        int backingOffset = CowOverlayHeader.Size + imageName.Length;
        var header = new CowOverlayHeader
        {
            BackingNameOffset = backingName.Length == 0 ? 0 : (uint)backingOffset,
            BackingNameSize = (uint)backingName.Length,
            ImageNameOffset = CowOverlayHeader.Size,
            ImageNameSize = (uint)imageName.Length,
            ClusterBits = (uint)Alignment.Log2(_options.ClusterSize),
            CompatibleFeatures = _options.Backing is null ? CompatibleFeatures.AllAllocated : CompatibleFeatures.HasRecord,
            HeaderSize = (uint)CowOverlayHeader.HeaderSizeFor(_options.ClusterSize),
            BackingFormat = FileName.EncodeFormat(_options.Backing?.Format),
            ImageFormat = "raw",
        };
        byte[] area = new byte[header.HeaderSize];
        header.WriteTo(area);
        imageName.CopyTo(area, CowOverlayHeader.Size);
        backingName.CopyTo(area, backingOffset);
        if (_options.Backing is not null)
        {
            OverlayRecord record = await MakeRecordAsync(header, cancellationToken).ConfigureAwait(false);
            record.WriteTo(area.AsSpan(area.Length - CowOverlayLimits.SectorSize));
        }

        // The bitmap is a hole: all zeroes, nothing copied.
        await file.ResizeAsync(BitmapFile.EndFor(header, _options.Length), ResizeOptions.GrowOnly, cancellationToken).ConfigureAwait(false);
        await file.WriteAsync(0, area, WriteFlags.None, cancellationToken).ConfigureAwait(false);
        await file.FlushAsync(cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask<OverlayRecord> MakeRecordAsync(CowOverlayHeader header, CancellationToken cancellationToken) => new()
    {
        IsClean = true,
        ImageLength = _options.Length,
        Base = _options.BackingNode is { } backing ? await BaseIdentity.OfAsync(backing, cancellationToken).ConfigureAwait(false) : null,
        NamesHash = OverlayRecord.HashNames(_options.Backing!.Name, header.BackingFormat),
    };

    // A disk of its own, as like as not: made by hand, or by an overlay that is to be replaced and whose data it is.
    private async ValueTask ThrowIfInUseAsync(string path, CancellationToken cancellationToken)
    {
        BlockStorage storage = await _environment.Files.OpenAsync(path, new StorageOpenOptions { Lock = ImageLock.Reader }, cancellationToken).ConfigureAwait(false);
        await using (storage.ConfigureAwait(false))
        {
            for (long at = 0; at < storage.Length;)
            {
                StorageExtent extent = await storage.GetExtentAsync(at, storage.Length - at, cancellationToken).ConfigureAwait(false);
                if (!extent.IsHole)
                {
                    throw Refusal(BlockErrorKind.Denied, $"'{path}' exists and holds data, and would be emptied to be the image file. Remove it, or choose another name.");
                }

                at += extent.Length;
            }
        }
    }

    private BlockLayerException Refusal(BlockErrorKind kind, string message) => new(kind, message) { Path = _path };
}
