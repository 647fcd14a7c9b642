using System.Buffers.Binary;
using System.Security.Cryptography;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.CowOverlay;

/// <summary>
/// What a backing file shows, in short: its length and a hash of sampled blocks. Never times, which a copy changes and a replacement can keep.
/// </summary>
/// <remarks>
/// The samples are 4 KiB blocks at 0, at every power of two, at 31 places evenly spread, and at the end: partition tables and the superblocks of common file
/// systems are among them, which any use of a file system changes. A change that misses all of them is not noticed. They are taken from the disk that the
/// backing file shows, so converting it to another format, or pulling its own chain, keeps the identity.
/// </remarks>
/// <param name="Length">Bytes of the disk.</param>
/// <param name="Hash">SHA-256 over offset and bytes of each sample, in ascending order.</param>
internal sealed record BaseIdentity(long Length, Hash256 Hash)
{
    private const int BlockLength = 4096;
    private const int Spread = 32;

    /// <summary>Takes the samples.</summary>
    /// <exception cref="Errors.BlockLayerException">Io: a sample cannot be read.</exception>
    internal static async ValueTask<BaseIdentity> OfAsync(BlockNode backing, CancellationToken cancellationToken)
    {
        long length = backing.Length;
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] sample = new byte[sizeof(long) + BlockLength];
        foreach (long offset in SampleOffsets(length))
        {
            BinaryPrimitives.WriteInt64LittleEndian(sample, offset);
            await backing.ReadPaddedAsync(Origin.Edge, offset, sample.AsMemory(sizeof(long)), ReadFlags.None, cancellationToken).ConfigureAwait(false);
            hash.AppendData(sample);
        }

        return new BaseIdentity(length, Hash256.Read(hash.GetHashAndReset()));
    }

    private static SortedSet<long> SampleOffsets(long length)
    {
        var offsets = new SortedSet<long>();
        if (length == 0)
        {
            return offsets;
        }

        offsets.Add(0);
        offsets.Add(Alignment.RoundDown(length - 1, BlockLength));
        for (long offset = BlockLength; offset > 0 && offset < length; offset <<= 1)
        {
            offsets.Add(offset);
        }

        for (int i = 1; i < Spread; i++)
        {
            offsets.Add(Alignment.RoundDown(length / Spread * i, BlockLength));
        }

        return offsets;
    }
}
