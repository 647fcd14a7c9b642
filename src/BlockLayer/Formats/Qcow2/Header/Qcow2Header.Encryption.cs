using System.Buffers.Binary;
using BlockLayer.Errors;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

// Encryption: the method, and for LUKS the extension that says where its header is.
internal sealed partial record Qcow2Header
{
    /// <summary>This header of a new image, encrypted by LUKS. qcow2 spec, "Full disk encryption header pointer".</summary>
    public Qcow2Header WithNewLuksHeader(HostOffset start, long length)
    {
        byte[] pointer = new byte[EncryptionHeaderPointer.Size];
        BinaryPrimitives.WriteInt64BigEndian(pointer, start.Value);
        BinaryPrimitives.WriteInt64BigEndian(pointer.AsSpan(8), length);
        return this with
        {
            Encryption = EncryptionMethod.Luks,
            Extensions = Extensions.With(HeaderExtension.Create(HeaderExtensionType.EncryptionHeader, pointer)),
        };
    }

    private void ValidateEncryption(ClusterGeometry g, long fileLength)
    {
        if (Encryption != EncryptionMethod.None && VirtualSize % SectorCipher.SectorSize != 0)
        {
            throw ImageFormatException.Invalid("size", SizeAt, $"{VirtualSize}", $"a multiple of {SectorCipher.SectorSize} in an encrypted image");
        }

        HeaderExtension? extension = Extensions.Find(HeaderExtensionType.EncryptionHeader);
        if (Encryption == EncryptionMethod.Luks != extension is not null)
        {
            // As QEMU: a pointer that nothing asks for is refused too.
            throw ImageFormatException.Invalid(
                "crypt_method", CryptMethodAt, $"{(uint)Encryption}", "2 (LUKS) exactly when there is a full disk encryption header pointer");
        }

        if (extension is null)
        {
            return;
        }

        if (extension.Data.Length != EncryptionHeaderPointer.Size || EncryptionHeaderPointer.Find(this) is not { } place)
        {
            throw ImageFormatException.Invalid(
                "full disk encryption header pointer", HeaderLength, $"{Convert.ToHexStringLower(extension.Data.Span)}", "an offset and a length of 8 bytes each, both positive");
        }

        const string Name = "encryption header";
        RequireAligned(Name, HeaderLength, new HostOffset(place.Offset), g);
        if (place.Length is < LuksHeader.Size or > Qcow2Limits.MaxEncryptionHeaderLength)
        {
            throw ImageFormatException.Invalid(Name, HeaderLength, $"{place.Length} bytes long", $"at least {LuksHeader.Size}, at most {Qcow2Limits.MaxEncryptionHeaderLength}");
        }

        RequireInside(Name, HeaderLength, place, fileLength);
        RequireApart(Name, HeaderLength, place, "header", new ByteRange(0, g.ClusterSize));
        RequireApart(Name, HeaderLength, place, "refcount table", RefcountTableRange(g));
        RequireApart(Name, HeaderLength, place, "L1 table", L1TableRange);
    }
}
