namespace BlockLayer.Formats.Qed;

/// <summary>Bytes of a table, copied when the write-back began, and where they go.</summary>
internal readonly record struct TableWrite(HostOffset Host, byte[] Bytes);
