namespace BlockLayer.Formats.Qcow2;

/// <summary>Writes bits, the first into the least significant bit of a byte. Running out of room is remembered, not thrown.</summary>
internal ref struct BitWriter
{
    private readonly Span<byte> _destination;
    private int _length;
    private ulong _pending;
    private int _pendingBits;

    /// <summary>Writes from the start of <paramref name="destination"/>.</summary>
    public BitWriter(Span<byte> destination) => _destination = destination;

    /// <summary>True once something did not fit.</summary>
    public bool IsFull { get; private set; }

    /// <summary>Writes the <paramref name="count"/> low bits of <paramref name="bits"/>; at most 32.</summary>
    public void Write(uint bits, int count)
    {
        _pending |= (ulong)bits << _pendingBits;
        _pendingBits += count;
        while (_pendingBits >= 8)
        {
            WriteByte((byte)_pending);
            _pending >>= 8;
            _pendingBits -= 8;
        }
    }

    /// <summary>Fills the byte begun with zero bits.</summary>
    public void AlignToByte()
    {
        if (_pendingBits > 0)
        {
            WriteByte((byte)_pending);
            _pending = 0;
            _pendingBits = 0;
        }
    }

    /// <summary>Writes whole bytes at a byte boundary.</summary>
    public void WriteBytes(ReadOnlySpan<byte> bytes)
    {
        if (bytes.TryCopyTo(_destination[_length..]))
        {
            _length += bytes.Length;
        }
        else
        {
            IsFull = true;
        }
    }

    /// <summary>Completes the last byte; returns how many bytes were written.</summary>
    public int Finish()
    {
        AlignToByte();
        return _length;
    }

    private void WriteByte(byte value)
    {
        if (_length < _destination.Length)
        {
            _destination[_length++] = value;
        }
        else
        {
            IsFull = true;
        }
    }
}
