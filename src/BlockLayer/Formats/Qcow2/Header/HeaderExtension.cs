using System.Buffers.Binary;
using System.Text;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>One header extension, kept byte for byte: type, length, data, and padding to a multiple of 8, which need not be zeroes.</summary>
/// <param name="Type">What it is; perhaps none of the named values.</param>
/// <param name="Data">The data without padding. Not changed by anyone.</param>
/// <param name="Padding">The 0 to 7 bytes behind the data.</param>
internal sealed record HeaderExtension(HeaderExtensionType Type, ReadOnlyMemory<byte> Data, ReadOnlyMemory<byte> Padding)
{
    /// <summary>Bytes of type and length in front of the data; also the size of the end marker.</summary>
    public const int PrefixLength = 8;

    /// <summary>Bytes in the file.</summary>
    public int Length => PrefixLength + Data.Length + Padding.Length;

    /// <summary>An extension with zero padding.</summary>
    public static HeaderExtension Create(HeaderExtensionType type, ReadOnlyMemory<byte> data)
        => new(type, data, new byte[Alignment.RoundUp(data.Length, 8) - data.Length]);

    /// <summary>An extension that is a string, such as <see cref="HeaderExtensionType.BackingFormat"/>.</summary>
    public static HeaderExtension Create(HeaderExtensionType type, string text) => Create(type, Encoding.UTF8.GetBytes(text));

    /// <summary>Writes the extension; returns its <see cref="Length"/>.</summary>
    public int WriteTo(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt32BigEndian(destination, (uint)Type);
        BinaryPrimitives.WriteUInt32BigEndian(destination[4..], (uint)Data.Length);
        Data.Span.CopyTo(destination[PrefixLength..]);
        Padding.Span.CopyTo(destination[(PrefixLength + Data.Length)..]);
        return Length;
    }
}
