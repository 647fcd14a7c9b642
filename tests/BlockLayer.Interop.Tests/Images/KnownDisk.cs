using System.Collections;
using BlockLayer.Interop.Tests.Qcow2;
using Xunit;

namespace BlockLayer.Interop.Tests.Images;

/// <summary>What a disk must read as after the requests it was given. What was discarded may be old bytes or zeroes, so nothing is said of it until it is written.</summary>
internal sealed class KnownDisk
{
    private byte[] _bytes;
    private readonly BitArray _isUnknown;

    /// <summary>A disk that begins with <paramref name="backing"/> and goes on with zeroes.</summary>
    internal KnownDisk(ReadOnlySpan<byte> backing, int length)
    {
        _bytes = new byte[length];
        backing.CopyTo(_bytes);
        _isUnknown = new BitArray(length);
    }

    /// <summary>Bytes.</summary>
    internal int Length => _bytes.Length;

    /// <summary>Notes a request that was carried out.</summary>
    internal void Note(DiskRequest request)
    {
        int offset = (int)request.Offset;
        switch (request.Kind)
        {
            case DiskRequestKind.Write or DiskRequestKind.WriteZeroes:
                _bytes.AsSpan(offset, request.Length).Fill(request.Kind == DiskRequestKind.Write ? request.Value : (byte)0);
                SetUnknown(offset, request.Length, false);
                break;
            case DiskRequestKind.Discard:
                SetUnknown(offset, request.Length, true);
                break;
        }
    }

    /// <summary>Notes another length: what is cut off is gone, and what is added is zeroes.</summary>
    internal void Resize(int length)
    {
        Array.Resize(ref _bytes, length);
        _isUnknown.Length = length;
    }

    /// <summary>The run of one known byte at <paramref name="offset"/>, not longer than <paramref name="length"/>; nothing where the byte is not known.</summary>
    internal (byte Value, int Length) RunAt(int offset, int length)
    {
        int end = offset;
        while (end < offset + length && !_isUnknown[end] && _bytes[end] == _bytes[offset])
        {
            end++;
        }

        return (_bytes[offset], end - offset);
    }

    /// <summary>Fails unless <paramref name="found"/> is what the disk holds from <paramref name="offset"/> on.</summary>
    internal void AssertHolds(int offset, ReadOnlySpan<byte> found, string whose)
    {
        for (int i = 0; i < found.Length; i++)
        {
            if (found[i] != _bytes[offset + i] && !_isUnknown[offset + i])
            {
                Assert.Fail($"{whose}: byte {offset + i} of {Length} is {found[i]}, but {_bytes[offset + i]} was written");
            }
        }
    }

    private void SetUnknown(int offset, int length, bool isUnknown)
    {
        for (int i = offset; i < offset + length; i++)
        {
            _isUnknown[i] = isUnknown;
        }
    }
}
