using System.Buffers.Binary;
using System.Text;

namespace BlockLayer.Formats.CowOverlay;

/// <summary>
/// What we keep about an overlay beyond the specification, in the last sector of its header area: one write of 512 bytes, so a crash leaves the old
/// record or the new one. Programs that do not know it see the zeroes' place filled and a compatible bit set, and may ignore both.
/// </summary>
/// <remarks>
/// It is evidence, never needed to read the disk: what does not fit what it describes (<see cref="NamesHash"/>, <see cref="BitmapChecksum"/>) was changed
/// by a program that does not keep it, and is not held against the image.
/// </remarks>
internal sealed record OverlayRecord
{
    /// <summary>Bytes of the record; the rest of its sector is zero.</summary>
    internal const int Size = 160;

    private const int LengthAt = 8;
    private const int FlagsAt = 12;
    private const int ImageLengthAt = 16;
    private const int BaseLengthAt = 24;
    private const int BaseHashAt = 32;
    private const int NamesHashAt = 64;
    private const int BitmapChecksumAt = 96;
    private const int OwnHashAt = 128;
    private const uint CleanFlag = 1;
    private const uint BaseKnownFlag = 2;

    /// <summary>True when the overlay was closed after its last write: <see cref="BitmapChecksum"/> is that of the bitmap on disk.</summary>
    internal bool IsClean { get; init; }

    /// <summary>The image file is at least this long, in bytes: it is recorded before the file is cut and after it has grown.</summary>
    internal long ImageLength { get; init; }

    /// <summary>What the backing file held; null where that was not known.</summary>
    internal BaseIdentity? Base { get; init; }

    /// <summary>Of the backing file's name and format that <see cref="Base"/> is about (<see cref="HashNames"/>).</summary>
    internal Hash256 NamesHash { get; init; }

    /// <summary>Of the bits that stand for the disk (<see cref="AllocationBitmap.Checksum"/>); only with <see cref="IsClean"/>.</summary>
    internal Hash256 BitmapChecksum { get; init; }

    private static ReadOnlySpan<byte> Magic => "ACOWEXT1"u8;

    /// <summary>Binds an identity to what the header says about the backing file.</summary>
    internal static Hash256 HashNames(string? backingName, string backingFormat)
        => Hash256.Of(Encoding.UTF8.GetBytes($"{backingName}\0{backingFormat}"));

    /// <summary>Reads a record; null if there is none, or one that was damaged.</summary>
    internal static OverlayRecord? Parse(ReadOnlySpan<byte> sector)
    {
        if (!sector.StartsWith(Magic) || BinaryPrimitives.ReadUInt32LittleEndian(sector[LengthAt..]) != Size
            || Hash256.Of(sector[..OwnHashAt]) != Hash256.Read(sector[OwnHashAt..]))
        {
            return null;
        }

        uint flags = BinaryPrimitives.ReadUInt32LittleEndian(sector[FlagsAt..]);
        return new OverlayRecord
        {
            IsClean = (flags & CleanFlag) != 0,
            ImageLength = BinaryPrimitives.ReadInt64LittleEndian(sector[ImageLengthAt..]),
            Base = (flags & BaseKnownFlag) != 0
                ? new BaseIdentity(BinaryPrimitives.ReadInt64LittleEndian(sector[BaseLengthAt..]), Hash256.Read(sector[BaseHashAt..]))
                : null,
            NamesHash = Hash256.Read(sector[NamesHashAt..]),
            BitmapChecksum = Hash256.Read(sector[BitmapChecksumAt..]),
        };
    }

    /// <summary>Fills the sector.</summary>
    internal void WriteTo(Span<byte> sector)
    {
        sector.Clear();
        Magic.CopyTo(sector);
        BinaryPrimitives.WriteUInt32LittleEndian(sector[LengthAt..], Size);
        BinaryPrimitives.WriteUInt32LittleEndian(sector[FlagsAt..], (IsClean ? CleanFlag : 0) | (Base is null ? 0 : BaseKnownFlag));
        BinaryPrimitives.WriteInt64LittleEndian(sector[ImageLengthAt..], ImageLength);
        if (Base is { } known)
        {
            BinaryPrimitives.WriteInt64LittleEndian(sector[BaseLengthAt..], known.Length);
            known.Hash.WriteTo(sector[BaseHashAt..]);
        }

        NamesHash.WriteTo(sector[NamesHashAt..]);
        BitmapChecksum.WriteTo(sector[BitmapChecksumAt..]);
        Hash256.Of(sector[..OwnHashAt]).WriteTo(sector[OwnHashAt..]);
    }
}
