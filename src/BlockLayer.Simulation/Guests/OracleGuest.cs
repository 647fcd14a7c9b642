using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Simulation;

/// <summary>
/// A guest that knows what its disk owes it: it tells a <see cref="SectorOracle"/> everything it asks for, checks every read, and writes only sectors
/// that tell whose they are. Several may share a disk and an oracle.
/// </summary>
/// <remarks>
/// All offsets and lengths are whole sectors. A request that fails with <see cref="BlockLayerException"/> is noted as one that may have taken place,
/// and the failure goes on to the caller.
/// </remarks>
public sealed class OracleGuest
{
    private const byte Untouched = 0xDB; // what a buffer holds before a read: neither zeroes nor a stamp, so that bytes that no layer filled are noticed

    private readonly BlockNode _disk;
    private readonly SectorOracle _oracle;

    /// <summary>A guest of <paramref name="disk"/>.</summary>
    public OracleGuest(BlockNode disk, SectorOracle oracle)
    {
        _disk = disk;
        _oracle = oracle;
    }

    /// <summary>All bytes of a disk, for <see cref="SectorOracle.Check"/>.</summary>
    public static async Task<byte[]> ReadAllAsync(BlockNode disk)
    {
        byte[] content = new byte[disk.Length];
        content.AsSpan().Fill(Untouched);
        await disk.ReadAsync(0, content).ConfigureAwait(false);
        return content;
    }

    /// <summary>The same in a buffer that the caller gives back. Whole disks are read so often that new arrays would keep the collector busy with nothing else.</summary>
    internal static async Task<PooledBuffer> RentAllAsync(BlockNode disk)
    {
        PooledBuffer content = RentUntouched((int)disk.Length);
        try
        {
            await disk.ReadAsync(0, content.Memory).ConfigureAwait(false);
            return content;
        }
        catch
        {
            content.Dispose();
            throw;
        }
    }

    /// <summary>Reads, and checks what comes.</summary>
    /// <exception cref="SectorOracleException">It is not what was written.</exception>
    public async Task ReadAsync(long offset, int length)
    {
        using PooledBuffer data = RentUntouched(length);
        OracleRead read = _oracle.BeginRead(offset, length);
        await _disk.ReadAsync(offset, data.Memory).ConfigureAwait(false);
        _oracle.CompleteRead(read, data.Span);
    }

    /// <summary>Writes sectors that nobody wrote before.</summary>
    public async Task WriteAsync(long offset, int length)
    {
        using PooledBuffer data = BufferPool.Shared.Rent(length);
        OracleWrite write = _oracle.BeginStampedWrite(offset, data.Span);
        await SettleAsync(write, _disk.WriteAsync(offset, data.Memory)).ConfigureAwait(false);
        _oracle.Complete(write);
    }

    /// <summary>The same with forced unit access.</summary>
    public async Task WriteDurablyAsync(long offset, int length)
    {
        using PooledBuffer data = BufferPool.Shared.Rent(length);
        OracleWrite write = _oracle.BeginStampedWrite(offset, data.Span);
        await SettleAsync(write, _disk.WriteAsync(offset, data.Memory, WriteFlags.Fua)).ConfigureAwait(false);
        _oracle.CompleteDurably(write);
    }

    /// <summary>Writes zeroes.</summary>
    public async Task WriteZeroesAsync(long offset, long length, ZeroFlags flags = ZeroFlags.None)
    {
        OracleWrite write = _oracle.BeginWriteZeroes(offset, length);
        await SettleAsync(write, _disk.WriteZeroesAsync(offset, length, flags)).ConfigureAwait(false);
        _oracle.Complete(write);
    }

    /// <summary>Discards.</summary>
    public async Task DiscardAsync(long offset, long length)
    {
        OracleWrite discard = _oracle.BeginDiscard(offset, length);
        await SettleAsync(discard, _disk.DiscardAsync(offset, length)).ConfigureAwait(false);
        _oracle.Complete(discard);
    }

    /// <summary>Flushes.</summary>
    public async Task FlushAsync()
    {
        long flush = _oracle.BeginFlush();
        await _disk.FlushAsync().ConfigureAwait(false);
        _oracle.CompleteFlush(flush);
    }

    /// <summary>Makes random requests, one after the other.</summary>
    public async Task RunAsync(SeededRandom random, int requests, GuestProfile? profile = null)
    {
        profile ??= new GuestProfile();
        for (int i = 0; i < requests; i++)
        {
            (long offset, int length) = NextRange(random, profile);
            await RequestAsync(random, profile, offset, length).ConfigureAwait(false);
        }
    }

    private static PooledBuffer RentUntouched(int length)
    {
        PooledBuffer buffer = BufferPool.Shared.Rent(length);
        buffer.Span.Fill(Untouched);
        return buffer;
    }

    private Task RequestAsync(SeededRandom random, GuestProfile profile, long offset, int length)
    {
        int choice = random.Next(profile.TotalWeight);
        if ((choice -= profile.Reads) < 0)
        {
            return ReadAsync(offset, length);
        }

        if ((choice -= profile.Writes) < 0)
        {
            return WriteAsync(offset, length);
        }

        if ((choice -= profile.DurableWrites) < 0)
        {
            return WriteDurablyAsync(offset, length);
        }

        if ((choice -= profile.Zeroes) < 0)
        {
            return WriteZeroesAsync(offset, length, random.Chance(0.5) ? ZeroFlags.MayUnmap : ZeroFlags.None);
        }

        return choice - profile.Discards < 0 ? DiscardAsync(offset, length) : FlushAsync();
    }

    private (long Offset, int Length) NextRange(SeededRandom random, GuestProfile profile)
    {
        long sectors = _oracle.Length / SectorPattern.SectorSize;
        long first = random.NextInt64(sectors);
        // Every scale from one sector to the longest request is as likely as any other.
        long most = Math.Min(Math.Max(1, profile.MaxLength / SectorPattern.SectorSize) >> random.Next(8), sectors - first);
        long count = 1 + random.NextInt64(Math.Max(1, most));
        return (first * SectorPattern.SectorSize, (int)(Math.Min(count, sectors - first) * SectorPattern.SectorSize));
    }

    private async Task SettleAsync(OracleWrite write, ValueTask request)
    {
        try
        {
            await request.ConfigureAwait(false);
        }
        catch (BlockLayerException)
        {
            _oracle.Fail(write);
            throw;
        }
    }
}
