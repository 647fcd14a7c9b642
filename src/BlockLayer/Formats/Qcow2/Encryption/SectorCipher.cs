using System.Diagnostics;
using System.Security.Cryptography;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Encrypts and decrypts whole sectors, each by itself under an IV made from its number. Any thread, any number of calls at once; the framework's AES objects are
/// not made for that, so each call borrows a lane of its own. Forgets its keys when disposed.
/// </summary>
internal abstract class SectorCipher : IDisposable
{
    /// <summary>Bytes in a sector. qcow2 spec, "Encryption", and LUKS1: 512, whatever the cluster size.</summary>
    internal const int SectorSize = 512;

    /// <summary>Bytes in a block of AES.</summary>
    protected const int BlockSize = 16;

    private const int ChunkLength = 16 * 1024; // so much of IVs and tweaks stays in the first-level cache beside the data

    private readonly Lock _gate = new();
    private readonly Stack<Lane> _idle = []; // guarded by _gate
    private readonly byte[] _key;
    private readonly byte[]? _secondKey;
    private readonly SectorIv _iv;
    private bool _isDisposed; // guarded by _gate

    /// <summary>A cipher that keeps copies of its keys.</summary>
    /// <param name="key">For the data: 16, 24 or 32 bytes.</param>
    /// <param name="secondKey">For whatever else the mode encrypts; empty for nothing.</param>
    /// <param name="iv">How a sector's number becomes its IV.</param>
    protected SectorCipher(ReadOnlySpan<byte> key, ReadOnlySpan<byte> secondKey, SectorIv iv)
    {
        _key = SecretBytes.CopyOf(key);
        _secondKey = secondKey.IsEmpty ? null : SecretBytes.CopyOf(secondKey);
        _iv = iv;
    }

    /// <summary>Encrypts whole sectors; source and destination are the same or apart.</summary>
    internal void Encrypt(long firstSector, ReadOnlySpan<byte> plain, Span<byte> cipher) => Run(firstSector, plain, cipher, SectorSize, encrypts: true);

    /// <summary>Decrypts whole sectors; source and destination are the same or apart.</summary>
    internal void Decrypt(long firstSector, ReadOnlySpan<byte> cipher, Span<byte> plain) => Run(firstSector, cipher, plain, SectorSize, encrypts: false);

    /// <summary>The same for units of another length, which published test vectors have.</summary>
    internal void Run(long firstUnit, ReadOnlySpan<byte> source, Span<byte> destination, int unitLength, bool encrypts)
    {
        Debug.Assert(source.Length == destination.Length && source.Length % unitLength == 0, "whole sectors");
        Lane lane = Borrow();
        try
        {
            int chunk = Math.Max(unitLength, ChunkLength / unitLength * unitLength);
            Span<byte> ivs = lane.Ivs(chunk / unitLength * BlockSize);
            while (!source.IsEmpty)
            {
                int length = Math.Min(source.Length, chunk);
                Span<byte> used = ivs[..(length / unitLength * BlockSize)];
                _iv.Fill(used, firstUnit);
                if (encrypts)
                {
                    EncryptChunk(lane, used, source[..length], destination[..length], unitLength);
                }
                else
                {
                    DecryptChunk(lane, used, source[..length], destination[..length], unitLength);
                }

                firstUnit += length / unitLength;
                source = source[length..];
                destination = destination[length..];
            }
        }
        finally
        {
            Return(lane);
        }
    }

    /// <summary>Forgets the keys. No call is under way and none comes.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _isDisposed = true;
            while (_idle.TryPop(out Lane? lane))
            {
                lane.Dispose();
            }
        }

        CryptographicOperations.ZeroMemory(_key);
        CryptographicOperations.ZeroMemory(_secondKey);
        _iv.Dispose();
    }

    /// <summary>Encrypts units whose IVs are given one behind the other.</summary>
    protected abstract void EncryptChunk(Lane lane, Span<byte> ivs, ReadOnlySpan<byte> plain, Span<byte> cipher, int unitLength);

    /// <summary>Decrypts units whose IVs are given one behind the other.</summary>
    protected abstract void DecryptChunk(Lane lane, Span<byte> ivs, ReadOnlySpan<byte> cipher, Span<byte> plain, int unitLength);

    private Lane Borrow()
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            if (_idle.TryPop(out Lane? idle))
            {
                return idle;
            }
        }

        return new Lane(_key, _secondKey);
    }

    private void Return(Lane lane)
    {
        lock (_gate)
        {
            if (!_isDisposed)
            {
                _idle.Push(lane);
                return;
            }
        }

        lane.Dispose();
    }

    /// <summary>What one call works with.</summary>
    protected sealed class Lane : IDisposable
    {
        private byte[] _ivs = [];
        private byte[] _scratch = [];

        internal Lane(byte[] key, byte[]? secondKey)
        {
            Data = Create(key);
            Second = secondKey is null ? null : Create(secondKey);
        }

        /// <summary>AES under the data's key.</summary>
        internal Aes Data { get; }

        /// <summary>AES under the second key, where the mode has one.</summary>
        internal Aes? Second { get; }

        /// <summary>Room for IVs.</summary>
        internal Span<byte> Ivs(int length) => Room(ref _ivs, length);

        /// <summary>Room for whatever the mode needs as much of as there is data.</summary>
        internal Span<byte> Scratch(int length) => Room(ref _scratch, length);

        /// <summary>Forgets keys and content.</summary>
        public void Dispose()
        {
            Data.Dispose();
            Second?.Dispose();
            CryptographicOperations.ZeroMemory(_ivs);
            CryptographicOperations.ZeroMemory(_scratch);
        }

        private static Aes Create(byte[] key)
        {
            Aes aes = Aes.Create();
            aes.SetKey(key);
            return aes;
        }

        private static Span<byte> Room(ref byte[] room, int length)
        {
            if (room.Length < length)
            {
                room = new byte[length];
            }

            return room.AsSpan(0, length);
        }
    }
}
