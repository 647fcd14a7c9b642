using System.Buffers.Binary;
using BlockLayer.Errors;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>The header extension area: every extension in file order, known or not, and whether an end marker closes it. Immutable.</summary>
internal sealed class HeaderExtensions
{
    /// <summary>Nothing but the end marker.</summary>
    public static readonly HeaderExtensions None = new([], hasEndMarker: true);

    private readonly HeaderExtension[] _items;
    private readonly bool _hasEndMarker;

    private HeaderExtensions(HeaderExtension[] items, bool hasEndMarker)
    {
        _items = items;
        _hasEndMarker = hasEndMarker;
    }

    /// <summary>The extensions in file order.</summary>
    public IReadOnlyList<HeaderExtension> Items => _items;

    /// <summary>Bytes in the file, end marker included.</summary>
    public int Length => _items.Sum(static item => item.Length) + (_hasEndMarker ? HeaderExtension.PrefixLength : 0);

    /// <summary>Makes an area that ends with a marker.</summary>
    public static HeaderExtensions Create(IEnumerable<HeaderExtension> items) => new([.. items], hasEndMarker: true);

    /// <summary>The extension of a type, or null.</summary>
    public HeaderExtension? Find(HeaderExtensionType type) => Array.Find(_items, item => item.Type == type);

    /// <summary>Reads the area from <paramref name="start"/> to the end marker or <paramref name="end"/>, whichever comes first.</summary>
    /// <param name="bytes">The file from its first byte.</param>
    /// <param name="start">End of the header structure.</param>
    /// <param name="end">Where the backing file name starts, or the end of the first cluster.</param>
    /// <exception cref="ImageFormatException">InvalidFormat: an extension does not end in the area, or a known one appears twice.</exception>
    public static HeaderExtensions Parse(ReadOnlySpan<byte> bytes, int start, int end)
    {
        List<HeaderExtension> items = [];
        int at = start;
        while (end - at >= HeaderExtension.PrefixLength)
        {
            var type = (HeaderExtensionType)BinaryPrimitives.ReadUInt32BigEndian(bytes[at..]);
            if (type == HeaderExtensionType.End)
            {
                return new([.. items], hasEndMarker: true);
            }

            uint length = BinaryPrimitives.ReadUInt32BigEndian(bytes[(at + 4)..]);
            int dataAt = at + HeaderExtension.PrefixLength;
            if (length > end - dataAt)
            {
                throw ImageFormatException.Invalid("Length of the header extension data", at + 4, $"{length}", $"at most {end - dataAt} for extension 0x{(uint)type:x8}");
            }

            if (Enum.IsDefined(type) && items.Exists(item => item.Type == type))
            {
                throw ImageFormatException.Invalid("Header extension type", at, $"0x{(uint)type:x8} a second time", "one of each type");
            }

            int dataEnd = dataAt + (int)length;
            int next = (int)Math.Min(Alignment.RoundUp(dataEnd, 8), end);
            items.Add(new(type, bytes[dataAt..dataEnd].ToArray(), bytes[dataEnd..next].ToArray()));
            at = next;
        }

        return new([.. items], hasEndMarker: false);
    }

    /// <summary>Writes the area; returns its <see cref="Length"/>.</summary>
    public int WriteTo(Span<byte> destination)
    {
        int at = 0;
        foreach (HeaderExtension item in _items)
        {
            at += item.WriteTo(destination[at..]);
        }

        if (_hasEndMarker)
        {
            destination.Slice(at, HeaderExtension.PrefixLength).Clear();
            at += HeaderExtension.PrefixLength;
        }

        return at;
    }

    /// <summary>The same area with the extension of this type set, in place if there is one, else in front of all others.</summary>
    public HeaderExtensions With(HeaderExtension extension)
    {
        int index = Array.FindIndex(_items, item => item.Type == extension.Type);
        return index < 0
            ? Create([extension, .. _items])
            : Create(_items.Select(item => item.Type == extension.Type ? extension : item));
    }

    /// <summary>The same area without the extension of this type.</summary>
    public HeaderExtensions Without(HeaderExtensionType type) => Create(_items.Where(item => item.Type != type));
}
