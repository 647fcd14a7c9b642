namespace BlockLayer.TestKit.Hostile;

/// <summary>How numbers are stored.</summary>
internal enum ByteOrder
{
    LittleEndian,
    BigEndian,
}
