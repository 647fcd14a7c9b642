using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Filters;

/// <summary>The file of a mirror's log: a header sector and sectors of bits. Stateless; who writes when is decided by <see cref="MirrorRegions"/>.</summary>
internal static class MirrorLog
{
    /// <summary>Reads a log. Null: the file is empty or the log was never finished.</summary>
    /// <exception cref="ImageFormatException">It is no log of a mirror, or a damaged one; nothing was changed.</exception>
    internal static async ValueTask<(MirrorLogHeader Header, RegionSet Dirty)?> LoadAsync(BlockNode file, CancellationToken cancellationToken)
    {
        if (file.Length == 0)
        {
            return null;
        }

        try
        {
            byte[] sector = new byte[MirrorLogHeader.Size];
            await file.ReadPaddedAsync(Origin.Door, 0, sector, ReadFlags.None, cancellationToken).ConfigureAwait(false);
            if (MirrorLogHeader.Parse(sector) is not { } header)
            {
                return null;
            }

            var dirty = new RegionSet(header.Regions.Count);
            for (int index = 0; index < MirrorLogSector.CountFor(dirty.Capacity); index++)
            {
                await file.ReadPaddedAsync(Origin.Door, PositionOf(index), sector, ReadFlags.None, cancellationToken).ConfigureAwait(false);
                MirrorLogSector.Parse(sector, index, dirty);
            }

            return (header, dirty);
        }
        catch (ImageFormatException error) when (error.Path is null)
        {
            throw error.WithPath(file.Path ?? file.NodeName);
        }
    }

    /// <summary>Writes a whole log and makes it durable. Its header comes last, so that a log that was not finished is none.</summary>
    internal static async ValueTask CreateAsync(BlockEdge file, MirrorLogHeader header, RegionSet dirty)
    {
        await WriteSectorsAsync(file, dirty, [.. Enumerable.Range(0, MirrorLogSector.CountFor(dirty.Capacity))]).ConfigureAwait(false);
        await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        byte[] sector = new byte[MirrorLogHeader.Size];
        header.WriteTo(sector);
        await file.WriteAsync(0, sector, CancellationToken.None).ConfigureAwait(false);
        await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
    }

    /// <summary>Writes sectors of bits; nothing is flushed. <paramref name="dirty"/> does not change meanwhile.</summary>
    internal static async ValueTask WriteSectorsAsync(BlockEdge file, RegionSet dirty, IReadOnlyList<int> sectors)
    {
        byte[] sector = new byte[MirrorLogSector.Size];
        foreach (int index in sectors)
        {
            MirrorLogSector.WriteTo(sector, index, dirty);
            await file.WriteAsync(PositionOf(index), sector, CancellationToken.None).ConfigureAwait(false);
        }
    }

    private static long PositionOf(int index) => MirrorLogHeader.Size + ((long)index * MirrorLogSector.Size);
}
