using BlockLayer.Errors;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

// Encrypted data: ciphertext in the file, plaintext in the guest's buffers and nowhere else. Sectors are encrypted by themselves, so a request needs no other's.
internal sealed partial class GuestData : IDisposable
{
    private const int MaxInlineLength = 32 * 1024; // longer ones are handed to the scheduler, so that a guest with many requests uses more than one processor

    private readonly EncryptionMethod _method;
    private readonly int _clusterSize;
    private readonly SectorCipher? _cipher;

    /// <summary>True when the guest's data is encrypted, whether or not it was opened.</summary>
    internal bool IsEncrypted => _method != EncryptionMethod.None;

    /// <summary>Forgets the keys.</summary>
    public void Dispose() => _cipher?.Dispose();

    /// <summary>For who is about to do something that may have to write data half way.</summary>
    /// <exception cref="BlockLayerException">Denied: the data lies in a file that was not opened, or is encrypted and was opened without its passphrase.</exception>
    internal void ThrowIfNotWithinReach()
    {
        ThrowIfNotOpened();
        if (IsEncrypted)
        {
            RequireCipher();
        }
    }

    // A disk that grows shows the rest of the cluster it ended in, which has to be there to be decrypted into zeroes.
    private long StoredLength(long length) => IsEncrypted ? Alignment.RoundUp(length, _clusterSize) : length;

    private async ValueTask ReadEncryptedAsync(HostOffset host, GuestOffset guest, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        SectorCipher cipher = RequireCipher();
        if (buffer.Length % SectorCipher.SectorSize == 0)
        {
            await _file.ReadPaddedAsync(host.Value, buffer, cancellationToken).ConfigureAwait(false);
            await RunAsync(new Piece(cipher, SectorOf(host, guest), buffer, buffer, Encrypts: false)).ConfigureAwait(false);
            return;
        }

        using PooledBuffer whole = _file.Parent.Environment.Buffers.Rent((int)Alignment.RoundUp(buffer.Length, SectorCipher.SectorSize));
        await ReadEncryptedAsync(host, guest, whole.Memory, cancellationToken).ConfigureAwait(false);
        whole.Span[..buffer.Length].CopyTo(buffer.Span);
        whole.Span.Clear();
    }

    private async ValueTask WriteEncryptedAsync(HostOffset host, GuestOffset guest, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        SectorCipher cipher = RequireCipher();
        cancellationToken.ThrowIfCancellationRequested();
        using PooledBuffer stored = _file.Parent.Environment.Buffers.Rent((int)Alignment.RoundUp(buffer.Length, SectorCipher.SectorSize));
        ReadOnlyMemory<byte> plain = buffer;
        if (buffer.Length < stored.Memory.Length)
        {
            buffer.CopyTo(stored.Memory);
            stored.Span[buffer.Length..].Clear();
            plain = stored.Memory;
        }

        await RunAsync(new Piece(cipher, SectorOf(host, guest), plain, stored.Memory, Encrypts: true)).ConfigureAwait(false);
        await (_place == DataPlace.OwnFile
            ? _file.WriteAsync(host.Value, stored.Memory, cancellationToken)
            : WriteToDataFileAsync(host, stored.Memory, cancellationToken)).ConfigureAwait(false);
    }

    // qcow2 spec, "crypt_method": the IV is made from the sector on the virtual disk for AES, and from the one in the file for LUKS.
    private long SectorOf(HostOffset host, GuestOffset guest)
        => (_method == EncryptionMethod.Luks ? host.Value : guest.Value) / SectorCipher.SectorSize;

    private ValueTask RunAsync(Piece piece)
    {
        if (piece.Destination.Length > MaxInlineLength)
        {
            return _file.Parent.Environment.Work.RunAsync(static piece => piece.Run(), piece);
        }

        piece.Run();
        return ValueTask.CompletedTask;
    }

    private SectorCipher RequireCipher()
    {
        ThrowIfNotOpened();
        return _cipher ?? throw new BlockLayerException(
            BlockErrorKind.Denied, $"'{_file.Parent.NodeName}' is encrypted ({(_method == EncryptionMethod.Luks ? "LUKS" : "AES")}) and was opened without its passphrase, which is needed to read or write the guest's data.")
        {
            NodeName = _file.Parent.NodeName,
            Path = _file.Parent.Path,
        };
    }

    private sealed record Piece(SectorCipher Cipher, long Sector, ReadOnlyMemory<byte> Source, Memory<byte> Destination, bool Encrypts)
    {
        internal void Run()
        {
            if (Encrypts)
            {
                Cipher.Encrypt(Sector, Source.Span, Destination.Span);
            }
            else
            {
                Cipher.Decrypt(Sector, Source.Span, Destination.Span);
            }
        }
    }
}
