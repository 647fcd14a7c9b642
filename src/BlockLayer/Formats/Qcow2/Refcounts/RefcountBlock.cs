using System.Buffers.Binary;
using System.Diagnostics;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Reads and writes the counts in the bytes of one refcount block, as they are on disk. qcow2 spec, "Refcount block entry": counts of 8 bits and more are
/// big-endian; smaller ones fill each byte from its least significant bit.
/// </summary>
internal readonly ref struct RefcountBlock
{
    private readonly Span<byte> _bytes;
    private readonly int _order;

    /// <summary>Looks at a whole block (one cluster), or at a part of one that starts at a byte boundary.</summary>
    public RefcountBlock(Span<byte> bytes, int refcountOrder)
    {
        Debug.Assert(refcountOrder is >= 0 and <= Qcow2Limits.MaxRefcountOrder, "the header was validated");
        _bytes = bytes;
        _order = refcountOrder;
    }

    /// <summary>Number of counts.</summary>
    public int Count => checked((int)((long)_bytes.Length * 8 >> _order));

    /// <summary>The largest count that fits.</summary>
    public ulong Max => _order == 6 ? ulong.MaxValue : (1UL << (1 << _order)) - 1;

    /// <summary>One count. Setting asserts that it fits; the caller has compared with <see cref="Max"/>.</summary>
    public ulong this[int index]
    {
        get => _order switch
        {
            0 or 1 or 2 => (ulong)(_bytes[ByteOf(index)] >> ShiftOf(index)) & Max,
            3 => _bytes[index],
            4 => BinaryPrimitives.ReadUInt16BigEndian(_bytes[(index * 2)..]),
            5 => BinaryPrimitives.ReadUInt32BigEndian(_bytes[(index * 4)..]),
            _ => BinaryPrimitives.ReadUInt64BigEndian(_bytes[(index * 8)..]),
        };
        set
        {
            Debug.Assert(value <= Max, "the caller compares with Max before it counts up");
            switch (_order)
            {
                case 0 or 1 or 2:
                    ref byte shared = ref _bytes[ByteOf(index)];
                    int shift = ShiftOf(index);
                    shared = (byte)(shared & ~((int)Max << shift) | (int)value << shift);
                    break;
                case 3:
                    _bytes[index] = (byte)value;
                    break;
                case 4:
                    BinaryPrimitives.WriteUInt16BigEndian(_bytes[(index * 2)..], (ushort)value);
                    break;
                case 5:
                    BinaryPrimitives.WriteUInt32BigEndian(_bytes[(index * 4)..], (uint)value);
                    break;
                default:
                    BinaryPrimitives.WriteUInt64BigEndian(_bytes[(index * 8)..], value);
                    break;
            }
        }
    }

    /// <summary>Index of the first count at or after <paramref name="first"/> that is 0, or -1. Bytes without a zero bit are passed over quickly.</summary>
    public int IndexOfFree(int first)
    {
        int count = Count;
        for (int index = first; index < count; index++)
        {
            if (_order < 3 && (index & ((8 >> _order) - 1)) == 0)
            {
                // A byte of full counts holds no zero; on a full disk almost every byte is one.
                int skipped = _bytes[ByteOf(index)..].IndexOfAnyExcept((byte)0xff);
                if (skipped < 0)
                {
                    return -1;
                }

                index += skipped << (3 - _order);
            }

            if (this[index] == 0)
            {
                return index;
            }
        }

        return -1;
    }

    /// <summary>Index of the last count that is not 0, or -1 when all are.</summary>
    public int LastIndexInUse() => LastIndexInUse(Count - 1);

    /// <summary>Index of the last count up to <paramref name="last"/> that is not 0, or -1 when all are. Bytes of zero are passed over quickly.</summary>
    public int LastIndexInUse(int last)
    {
        int bytes = (int)(((last + 1L) << _order) + 7 >> 3);
        int lastByte = _bytes[..bytes].LastIndexOfAnyExcept((byte)0);
        int index = Math.Min(last, (int)(((long)(lastByte + 1) * 8 - 1) >> _order));
        while (index >= 0 && this[index] == 0)
        {
            index--;
        }

        return index;
    }

    private int ByteOf(int index) => index >> (3 - _order);

    private int ShiftOf(int index) => (index << _order) & 7;
}
