using System.Numerics;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Storage;

namespace BlockLayer.Formats.CowOverlay;

/// <summary>Makes the two files of a new overlay: the image file first, durably, because the add-cow file refers to it.</summary>
internal sealed class CowOverlayCreator
{
    private readonly string _path;
    private readonly CowOverlayCreateOptions _options;
    private readonly BlockEnvironment _environment;
    private readonly string _imageName;
    private readonly string _imagePath;

    /// <exception cref="ArgumentException">Options that are missing or that the format does not take.</exception>
    internal CowOverlayCreator(string path, ImageCreateOptions options, BlockEnvironment environment)
    {
        _path = path;
        _environment = environment;
        _options = options as CowOverlayCreateOptions ?? new CowOverlayCreateOptions { Length = options.Length, Backing = options.Backing };
        _imageName = _options.ImageFile
            ?? throw new ArgumentException("Format add-cow needs image_file, the name of the raw file that is to hold the data.");
        _imagePath = ReferenceResolver.PathOf(path, _imageName);
        int cluster = _options.ClusterSize;
        if (!BitOperations.IsPow2(cluster) || cluster < 1 << CowOverlayLimits.MinClusterBits || cluster > 1 << CowOverlayLimits.MaxClusterBits)
        {
            throw new ArgumentException($"cluster_size is {cluster}; add-cow overlays have a power of two from 4096 to 2097152.");
        }

        ArgumentOutOfRangeException.ThrowIfNegative(_options.Length, "length");
    }

    /// <summary>Refuses what would overwrite somebody's data, while nothing has been touched yet.</summary>
    /// <exception cref="BlockLayerException">Denied (a file holds data), Conflict, Unsupported, InvalidFormat (two of the three files are one), Io.</exception>
    internal async ValueTask ThrowIfImpossibleAsync(CancellationToken cancellationToken)
    {
        FileName.Encode("image file", _imageName);
        if (ReferenceResolver.ProtocolOf(_imageName) is { } protocol)
        {
            throw Refusal(BlockErrorKind.Unsupported, $"'{protocol}:' makes '{_imageName}' the name of a protocol; write './{_imageName}' for a file of that name.");
        }

        StorageProvider files = _environment.Files;
        StorageFileInfo? image = files.GetInfo(_imagePath);
        if (files.GetRealPath(_imagePath) == files.GetRealPath(_path) || (image is not null && image.Identity == files.GetInfo(_path)?.Identity))
        {
            throw Refusal(BlockErrorKind.InvalidFormat, $"'{_imageName}' would be the overlay and its own image file.");
        }

        if (_options.Backing is { } backing)
        {
            FileName.Encode("backing file", backing.Name);
            FileName.EncodeFormat(backing.Format);
            string backingPath = ReferenceResolver.PathOf(_path, backing.Name);
            if (backing.Name == _imageName || (image is not null && image.Identity == files.GetInfo(backingPath)?.Identity))
            {
                throw Refusal(BlockErrorKind.InvalidFormat, $"'{_imageName}' would be the image file and the backing file, which writes would overwrite.");
            }
        }

        if (image is not null)
        {
            await ThrowIfUnusableAsync(image, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Writes both files and makes them durable; the directory entry of the add-cow file is the caller's.</summary>
    internal async ValueTask CreateAsync(BlockNode file, CancellationToken cancellationToken)
    {
        bool isNew = _environment.Files.GetInfo(_imagePath) is null;
        if (isNew)
        {
            await CreateImageFileAsync(cancellationToken).ConfigureAwait(false);
        }

        try
        {
            await WriteHeaderAsync(file, cancellationToken).ConfigureAwait(false);
        }
        catch when (isNew)
        {
            await _environment.Files.DeleteAsync(_imagePath, CancellationToken.None).ConfigureAwait(false);
            throw;
        }
    }

    private async ValueTask CreateImageFileAsync(CancellationToken cancellationToken)
    {
        var how = new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew, Lock = ImageLock.Writer };
        BlockStorage storage = await _environment.Files.OpenAsync(_imagePath, how, cancellationToken).ConfigureAwait(false);
        try
        {
            await using (storage.ConfigureAwait(false))
            {
                await storage.SetLengthAsync(_options.Length, cancellationToken).ConfigureAwait(false);
                await storage.FlushAsync(cancellationToken).ConfigureAwait(false);
            }

            await _environment.Files.FlushDirectoryAsync(_imagePath, cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            await _environment.Files.DeleteAsync(_imagePath, CancellationToken.None).ConfigureAwait(false);
            throw;
        }
    }

    private async ValueTask WriteHeaderAsync(BlockNode file, CancellationToken cancellationToken)
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

    // An existing file is taken as it is, so it has to be what an overlay begins with: with a backing file nothing, without one the disk itself.
    private async ValueTask ThrowIfUnusableAsync(StorageFileInfo image, CancellationToken cancellationToken)
    {
        if (image.Length != _options.Length)
        {
            throw Refusal(
                BlockErrorKind.Denied,
                $"'{_imagePath}' exists and is {image.Length} bytes long, while the disk is to have {_options.Length}. Remove it, or give its length.");
        }

        if (_options.Backing is null)
        {
            return;
        }

        BlockStorage storage = await _environment.Files.OpenAsync(_imagePath, new StorageOpenOptions { Lock = ImageLock.Reader }, cancellationToken)
            .ConfigureAwait(false);
        await using (storage.ConfigureAwait(false))
        {
            for (long at = 0; at < image.Length;)
            {
                StorageExtent extent = await storage.GetExtentAsync(at, image.Length - at, cancellationToken).ConfigureAwait(false);
                if (!extent.IsHole)
                {
                    throw Refusal(
                        BlockErrorKind.Denied,
                        $"'{_imagePath}' exists and holds data, which the backing file would hide and writes would overwrite. Remove it, or choose another name.");
                }

                at += extent.Length;
            }
        }
    }

    private BlockLayerException Refusal(BlockErrorKind kind, string message) => new(kind, message) { Path = _path };
}
