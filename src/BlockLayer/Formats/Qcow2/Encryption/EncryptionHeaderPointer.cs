using System.Buffers.Binary;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>Where the encryption header is. qcow2 spec, "Full disk encryption header pointer": offset and length, 8 bytes each.</summary>
internal static class EncryptionHeaderPointer
{
    internal const int Size = 16;

    /// <summary>The place as the header says it; null where it says none.</summary>
    public static ByteRange? Find(Qcow2Header header)
        => header.Extensions.Find(HeaderExtensionType.EncryptionHeader) is { Data.Length: >= Size } pointer
            && BinaryPrimitives.ReadInt64BigEndian(pointer.Data.Span) is >= 0 and var offset
            && BinaryPrimitives.ReadInt64BigEndian(pointer.Data.Span[8..]) is > 0 and var length
            && length <= long.MaxValue - offset
                ? new ByteRange(offset, length)
                : null;
}
