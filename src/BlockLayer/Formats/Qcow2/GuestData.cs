using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Where the plain data clusters of an image lie: in the image's own file, or in an external data file, each at its guest offset. Everything the guest stored
/// uncompressed goes through here; tables, and compressed streams, do not.
/// </summary>
/// <remarks>
/// <para>Both positions of each piece are given, because what happens to the bytes on the way may depend on either.</para>
/// <para>A data file is never longer than the disk because of what is written here: what would lie behind its end is the rest of the last cluster, which no guest
/// reads, and a raw data file is a disk of its own. Encrypted, it ends with its last cluster: zeroes that were not written could not be read.</para>
/// </remarks>
internal sealed partial class GuestData
{
    private readonly BlockEdge _file; // where data lies; the image's own file where the data file was not opened, and then it is not used
    private readonly DataPlace _place;
    private readonly bool _isPlain;   // open and not encrypted: nothing happens to bytes on the way

    private GuestData(BlockEdge file, DataPlace place, Qcow2Header header, SectorCipher? cipher)
    {
        _file = file;
        _place = place;
        _method = header.Encryption;
        _clusterSize = header.ClusterSize;
        _cipher = cipher;
        _isPlain = place != DataPlace.NotOpened && _method == EncryptionMethod.None;
    }

    private enum DataPlace
    {
        OwnFile,
        DataFile,
        NotOpened,
    }

    /// <summary>What never was written reads as zeroes where a cluster of it is taken for the first time.</summary>
    internal bool StartsAsZeroes => _isPlain && _place == DataPlace.OwnFile;

    /// <summary>The data of an image.</summary>
    /// <param name="image">The image's own file.</param>
    /// <param name="dataFile">Its data file; null where it has none, or it was not opened: then every request for data is refused.</param>
    /// <param name="header">Says whether data lies elsewhere, and how it is encrypted.</param>
    /// <param name="cipher">Opens what is encrypted, and is disposed with this; null where it is not to be opened: requests for data are refused too.</param>
    internal static GuestData Of(BlockEdge image, BlockEdge? dataFile, Qcow2Header header, SectorCipher? cipher)
    {
        DataPlace place = dataFile is not null ? DataPlace.DataFile
            : header.HasFeature(IncompatibleFeatures.ExternalDataFile) ? DataPlace.NotOpened
            : DataPlace.OwnFile;
        return new GuestData(dataFile ?? image, place, header, cipher);
    }

    /// <summary>Reads what is stored at <paramref name="host"/>, zeroes past the end: a file may end inside its last cluster.</summary>
    internal ValueTask ReadAsync(HostOffset host, GuestOffset guest, Memory<byte> buffer, CancellationToken cancellationToken)
        => _isPlain ? _file.ReadPaddedAsync(host.Value, buffer, cancellationToken) : ReadEncryptedAsync(host, guest, buffer, cancellationToken);

    /// <summary>Stores <paramref name="buffer"/> at <paramref name="host"/>.</summary>
    internal ValueTask WriteAsync(HostOffset host, GuestOffset guest, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
        => !_isPlain ? WriteEncryptedAsync(host, guest, buffer, cancellationToken)
            : _place == DataPlace.OwnFile ? _file.WriteAsync(host.Value, buffer, cancellationToken)
            : WriteToDataFileAsync(host, buffer, cancellationToken);

    /// <summary>Makes what was stored durable, for whoever is about to make durable what points to it. The image's own file is left to the caller.</summary>
    internal ValueTask FlushAsync(CancellationToken cancellationToken)
        => _place == DataPlace.DataFile ? _file.FlushAsync(cancellationToken) : ValueTask.CompletedTask;

    /// <summary>
    /// Makes host clusters read as zeroes, whoever used them before, with as much room taken as asked for: a hole, a reservation, or written zeroes. A data file that is
    /// not open is one that was just made, as long as the disk and with its room: nothing has to be done to it.
    /// </summary>
    internal async ValueTask TakeRoomAsync(HostOffset host, long length, Preallocation mode, CancellationToken cancellationToken)
    {
        if (_place == DataPlace.NotOpened)
        {
            return;
        }

        length = _place == DataPlace.DataFile ? Math.Min(length, _file.Child.Length - host.Value) : length;
        if (mode != Preallocation.Full)
        {
            ZeroFlags flags = mode == Preallocation.Falloc ? ZeroFlags.None : ZeroFlags.MayUnmap;
            await _file.WriteZeroesAsync(host.Value, length, flags, cancellationToken).ConfigureAwait(false);
            return;
        }

        for (long done = 0; done < length;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int piece = (int)Math.Min(length - done, ZeroBytes.Block.Length);
            await _file.WriteAsync(host.Value + done, ZeroBytes.Block[..piece], CancellationToken.None).ConfigureAwait(false);
            done += piece;
        }
    }

    /// <summary>Makes a range of a data file read as zeroes.</summary>
    internal ValueTask WriteZeroesAsync(ByteRange range, ZeroFlags flags, CancellationToken cancellationToken)
    {
        long length = Math.Min(range.End, _file.Child.Length) - range.Offset;
        return _place == DataPlace.NotOpened ? ValueTask.FromException(NoDataFile())
            : length > 0 ? _file.WriteZeroesAsync(range.Offset, length, flags, cancellationToken)
            : ValueTask.CompletedTask;
    }

    /// <summary>Tells a data file that a range of it is not needed. The image's own file is told by the allocator, once nobody can see the clusters.</summary>
    internal ValueTask DiscardAsync(ByteRange range, CancellationToken cancellationToken)
    {
        long length = Math.Min(range.End, _file.Child.Length) - range.Offset;
        return _place == DataPlace.DataFile && length > 0 ? _file.DiscardAsync(range.Offset, length, cancellationToken) : ValueTask.CompletedTask;
    }

    /// <exception cref="BlockLayerException">Denied: the data lies in a file that was not opened.</exception>
    private void ThrowIfNotOpened()
    {
        if (_place == DataPlace.NotOpened)
        {
            throw NoDataFile();
        }
    }

    /// <summary>Makes a data file that is shorter than the disk as long: it reads as zeroes there, before and after.</summary>
    internal async ValueTask EnsureLengthAsync(long length)
    {
        if (_place == DataPlace.DataFile && _file.Child.Length < StoredLength(length))
        {
            await _file.ResizeAsync(StoredLength(length), ResizeOptions.GrowOnly, CancellationToken.None).ConfigureAwait(false);
        }
    }

    /// <summary>Follows a change of the disk's length. What a data file holds behind the old end is gone from it before it becomes part of the disk.</summary>
    internal async ValueTask ResizeAsync(long oldLength, long length)
    {
        if (_place == DataPlace.DataFile)
        {
            var exact = new ResizeOptions { AllowShrink = true };
            await _file.ResizeAsync(StoredLength(Math.Min(oldLength, length)), exact, CancellationToken.None).ConfigureAwait(false);
            await _file.ResizeAsync(StoredLength(length), exact, CancellationToken.None).ConfigureAwait(false);
        }
    }

    private ValueTask WriteToDataFileAsync(HostOffset host, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        int length = (int)Math.Min(buffer.Length, _file.Child.Length - host.Value);
        return _file.WriteAsync(host.Value, buffer[..length], cancellationToken);
    }

    private BlockLayerException NoDataFile() => new(
        BlockErrorKind.Denied, $"'{_file.Parent.NodeName}' was opened without its external data file, so the guest's data can be neither read nor written.")
    {
        NodeName = _file.Parent.NodeName,
        Path = _file.Child.Path,
    };
}
