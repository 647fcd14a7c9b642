namespace BlockLayer.Formats.Qcow2;

/// <summary>compression_type: how all compressed clusters of an image are compressed.</summary>
internal enum CompressionType : byte
{
    /// <summary>Raw deflate without zlib header, with a window of at most 4 KiB. QEMU calls it zlib.</summary>
    Zlib = 0,

    /// <summary>Zstandard frames.</summary>
    Zstd = 1,
}
