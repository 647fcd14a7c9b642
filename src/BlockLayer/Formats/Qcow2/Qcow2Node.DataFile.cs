using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Storage;

namespace BlockLayer.Formats.Qcow2;

// An external data file: guest clusters lie there at their guest offsets, without refcounts, and no table is in it.
//
//   image file   header, tables             flushed second
//   data file    guest clusters             flushed first: nothing durable leads to what is not
//
// A raw data file holds the whole disk, every cluster mapped: zeroes and discards go to it and no entry changes.
internal sealed partial class Qcow2Node
{
    /// <summary>The data file has to stay readable as a raw disk.</summary>
    private bool IsRawData => _geometry.HasDataFile && Header.HasRawDataFile;

    private BlockEdge AttachData(BlockNode dataFile)
    {
        (ImagePermissions needs, ImagePermissions shares) = PermissionsFor(IsReadOnly ? NodeAccess.ReadOnly : NodeAccess.ReadWrite);
        return Attach(dataFile, EdgeRole.Data, needs, shares);
    }

    /// <summary>Host clusters for guest clusters. In a data file each has its place, so nothing is taken and nothing has to be given back.</summary>
    private ValueTask<HostRun?> AllocateDataAsync(GuestCluster first, int wanted)
        => _geometry.HasDataFile ? new(new HostRun(new HostCluster(first.Index), wanted, HostOrigin.Own)) : _allocator.AllocateAsync(wanted);

    private async ValueTask FlushFilesAsync(CancellationToken cancellationToken)
    {
        await _data.FlushAsync(cancellationToken).ConfigureAwait(false);
        await _file.FlushAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// Gives the room of (sub)clusters that read as zeroes now back to the data file's file system. If a crash brings the old mapping back it shows zeroes too, which is
    /// what was asked for.
    /// </summary>
    private async ValueTask GiveDataBackAsync(GuestOffset start, GuestOffset end, ZeroIntent intent)
    {
        if (!_geometry.HasDataFile || intent is not (ZeroIntent.Unmap or ZeroIntent.Discard))
        {
            return;
        }

        try
        {
            await _data.DiscardAsync(new ByteRange(start.Value, end.Value - start.Value), CancellationToken.None).ConfigureAwait(false);
        }
        catch (BlockLayerException)
        {
            // A favour that was refused: the guest reads zeroes all the same.
        }
    }

    private async ValueTask ZeroRawDataAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        await PrepareToWriteAsync().ConfigureAwait(false);
        await _data.WriteZeroesAsync(new ByteRange(offset, length), flags, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask DiscardRawDataAsync(long offset, long length, CancellationToken cancellationToken)
    {
        await PrepareToWriteAsync().ConfigureAwait(false);
        await _data.DiscardAsync(new ByteRange(offset, length), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// Makes a new image's data file a raw disk: maps every cluster, durably, and then says so. The data file, which is as long as the disk and reads as zeroes, need
    /// not be open.
    /// </summary>
    internal async ValueTask BecomeRawAsync(Preallocation preallocation, CancellationToken cancellationToken)
    {
        await PreallocateAsync(0, Length, AtLeastMapped(preallocation), cancellationToken).ConfigureAwait(false);
        await PrepareToWriteAsync().ConfigureAwait(false); // a disk of no bytes has nothing to map
        await _writeBack.RunAloneAsync(
            () => _header.UpdateAsync(static header => header with { Autoclear = header.Autoclear | AutoclearFeatures.RawExternalData })).ConfigureAwait(false);
    }

    private static Preallocation AtLeastMapped(Preallocation preallocation) => preallocation == Preallocation.Off ? Preallocation.Metadata : preallocation;
}
