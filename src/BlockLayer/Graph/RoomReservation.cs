using BlockLayer.Primitives;

namespace BlockLayer.Graph;

/// <summary>Takes room in a file for data that is to come.</summary>
internal static class RoomReservation
{
    /// <summary>Makes a range of a file read as zeroes, growing the file if it ends earlier, with as much room taken as asked for.</summary>
    /// <param name="file">The file that is the child of a format.</param>
    /// <param name="offset">Where the range starts.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="mode">For all but <see cref="Preallocation.Falloc"/> and <see cref="Preallocation.Full"/> the range becomes a hole where the file system has holes.</param>
    /// <param name="cancellationToken">Honoured between pieces.</param>
    /// <exception cref="Errors.BlockLayerException">NoSpace, Io: part of the range may have been zeroed.</exception>
    internal static async ValueTask TakeAsync(BlockEdge file, long offset, long length, Preallocation mode, CancellationToken cancellationToken)
    {
        if (mode != Preallocation.Full)
        {
            ZeroFlags flags = mode == Preallocation.Falloc ? ZeroFlags.None : ZeroFlags.MayUnmap;
            await file.WriteZeroesAsync(offset, length, flags, cancellationToken).ConfigureAwait(false);
            return;
        }

        for (long done = 0; done < length;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int piece = (int)Math.Min(length - done, ZeroBytes.Block.Length);
            await file.WriteAsync(offset + done, ZeroBytes.Block[..piece], CancellationToken.None).ConfigureAwait(false);
            done += piece;
        }
    }
}
