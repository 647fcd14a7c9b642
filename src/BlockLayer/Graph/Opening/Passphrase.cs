using System.Security.Cryptography;
using System.Text;

namespace BlockLayer.Graph;

/// <summary>
/// The passphrase of an encrypted image. It is in no text that anything here makes: not in messages, not in <see cref="ToString"/>. Its bytes stay at one place in
/// memory, and are overwritten when it is disposed.
/// </summary>
public sealed class Passphrase : IDisposable
{
    private readonly byte[] _bytes;
    private bool _isDisposed;

    /// <summary>A copy of these bytes, all of them: a line break at the end is a part of the passphrase.</summary>
    /// <exception cref="ArgumentException">There are none.</exception>
    public Passphrase(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty)
        {
            throw new ArgumentException("A passphrase has at least one byte.", nameof(bytes));
        }

        _bytes = GC.AllocateUninitializedArray<byte>(bytes.Length, pinned: true);
        bytes.CopyTo(_bytes);
    }

    /// <summary>The UTF-8 of a text.</summary>
    /// <exception cref="ArgumentException">The text is empty.</exception>
    public static Passphrase FromText(string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        try
        {
            return new Passphrase(bytes);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(bytes);
        }
    }

    /// <summary>The bytes. Not to be kept.</summary>
    internal ReadOnlySpan<byte> Bytes
    {
        get
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            return _bytes;
        }
    }

    /// <summary>Overwrites the bytes.</summary>
    public void Dispose()
    {
        _isDisposed = true;
        CryptographicOperations.ZeroMemory(_bytes);
    }

    /// <summary>Never the passphrase.</summary>
    public override string ToString() => "(a passphrase)";
}
