namespace BlockLayer.Formats.Qcow2;

/// <summary>Bytes to be written to the file, followed by a flush before anything else is written.</summary>
/// <param name="Offset">Position in the file.</param>
/// <param name="Bytes">What to write there.</param>
internal readonly record struct HeaderWrite(HostOffset Offset, ReadOnlyMemory<byte> Bytes);
