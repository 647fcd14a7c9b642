using System.Buffers.Binary;
using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Encryption;

/// <summary>LUKS headers that a stranger wrote: each field that could lead astray or keep the opener busy, with its sentence.</summary>
public sealed class HostileLuksTests
{
    private const int Slots = 208;
    private const int SlotSize = 48;

    private readonly TestWorld _world = new() { Passphrase = Passphrase.FromText("secret") };

    [Theory]
    [InlineData(0, 0x4c554b54, BlockErrorKind.InvalidFormat, "magic of the LUKS header is 4c554b54babe at byte 0; expected is 4c554b53babe.")]
    [InlineData(4, 0xbabe0002, BlockErrorKind.Unsupported, "version of the LUKS header is 2 at byte 6 of it; implemented is 1.")]
    [InlineData(8, 0x78787800, BlockErrorKind.Unsupported, "cipher-name of the LUKS header is \"xxx\" at byte 8 of it; implemented are aes.")]
    [InlineData(8, 0x61650001, BlockErrorKind.Unsupported, "cipher-name of the LUKS header is \"ae\" at byte 8 of it; implemented are aes.")]
    [InlineData(40, 0x65636200, BlockErrorKind.Unsupported, "cipher-mode of the LUKS header is \"ecb\" at byte 40 of it; implemented are xts, cbc, ctr and ecb, each with plain64, plain, essiv:sha256 or essiv:md5.")]
    [InlineData(40, 0x0a0a0a0a, BlockErrorKind.InvalidFormat, "name in the LUKS header is 0a0a0a0a")]
    [InlineData(72, 0x6d643400, BlockErrorKind.Unsupported, "hash-spec of the LUKS header is \"md4\" at byte 72 of it; implemented are md5, sha1, sha256, sha384 and sha512.")]
    [InlineData(104, 0xffffffff, BlockErrorKind.Corrupt, "payload-offset of the LUKS header is sector 4294967295, past the")]
    [InlineData(104, 100, BlockErrorKind.Corrupt, "Key slot 0 of the LUKS header overlaps the payload: its key material")]
    [InlineData(108, 0xffffffff, BlockErrorKind.InvalidFormat, "key-bytes is 2147483647 at byte 108; expected is 32, 48 or 64 with xts.")]
    [InlineData(108, 33, BlockErrorKind.InvalidFormat, "key-bytes is 33 at byte 108; expected is 32, 48 or 64 with xts.")]
    [InlineData(164, 0, BlockErrorKind.InvalidFormat, "mk-digest-iter is 0 at byte 164; expected is at least 1.")]
    [InlineData(164, 0x80000000, BlockErrorKind.Unsupported, "The active key slots of the LUKS header ask for 2147484648 iterations of PBKDF2; at most 67108864 are done for one image.")]
    [InlineData(Slots, 0x12345678, BlockErrorKind.InvalidFormat, "key slot's state is 0x12345678 at byte 208; expected is 0x00ac71f3 (active) or 0x0000dead.")]
    [InlineData(Slots, 0x0000dead, BlockErrorKind.Denied, "No key slot of the LUKS header opens with the passphrase that was given.")]
    [InlineData(Slots + 4, 0, BlockErrorKind.InvalidFormat, "iterations of key slot 0 is 0 at byte 208; expected is at least 1.")]
    [InlineData(Slots + 4, 0x80000000, BlockErrorKind.Unsupported, "ask for 2147484648 iterations of PBKDF2; at most 67108864 are done for one image.")]
    [InlineData(Slots + 40, 0xffffffff, BlockErrorKind.Corrupt, "Key slot 0 of the LUKS header overlaps the payload")]
    [InlineData(Slots + 40, 1, BlockErrorKind.Corrupt, "Key slot 0 of the LUKS header overlaps the header or another key slot")]
    [InlineData(Slots + SlotSize + 40, 8, BlockErrorKind.Corrupt, "Key slot 1 of the LUKS header overlaps the header or another key slot")]
    [InlineData(Slots + 44, 0, BlockErrorKind.InvalidFormat, "stripes of key slot 0 is 0 at byte 208; expected is 4000.")]
    [InlineData(Slots + 44, 0xffffffff, BlockErrorKind.InvalidFormat, "stripes of key slot 0 is 4294967295 at byte 208; expected is 4000.")]
    public async Task A_field_of_the_luks_header_is_refused_by_name(int at, uint value, BlockErrorKind kind, string message)
    {
        await CreateAsync();
        await using (StorageNode file = await _world.OpenFileAsync("disk"))
        {
            byte[] word = new byte[4];
            BinaryPrimitives.WriteUInt32BigEndian(word, value);
            await file.WriteAsync(await LuksOffsetAsync(file) + at, word);
        }

        BlockLayerException refused = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await _world.OpenAsync("disk"));
        Assert.Contains(message, refused.Message, StringComparison.Ordinal);
        Assert.Equal(kind, refused.Kind);

        // Who has no passphrase needs none of it, and is told what whoever has one cannot use.
        _world.Passphrase = null;
        await using Qcow2Node locked = await _world.OpenAsync("disk", NodeAccess.ReadOnly);
        Assert.Equal(1 << 20, locked.Length);
        string[] told = kind is BlockErrorKind.Unsupported or BlockErrorKind.Denied ? [] : [.. locked.GetDetails().Damage];
        Assert.Equal(locked.GetDetails().Damage, told);
        Assert.All(told, damage => Assert.Contains(message, damage, StringComparison.Ordinal));
        Assert.Equal(kind is BlockErrorKind.Unsupported or BlockErrorKind.Denied ? 0 : 1, told.Length);
    }

    [Theory]
    [InlineData(3L, 4096L, "encryption header is 0x3 at byte 112; expected is a multiple of the cluster size 65536.")]
    [InlineData(1L << 40, 4096L, "encryption header of 4096 bytes at byte 1099511627776 does not end inside the file")]
    [InlineData(5L << 16, long.MaxValue - (5L << 16), "encryption header is 9223372036854448127 bytes long at byte 112; expected is at least 592, at most 67108864.")]
    [InlineData(5L << 16, 64L << 20, "does not end inside the file")]
    [InlineData(1L << 16, 65536L, "overlaps refcount table")]
    [InlineData(0L, 65536L, "overlaps header")]
    [InlineData(5L << 16, 8L, "encryption header is 8 bytes long at byte 112; expected is at least 592, at most 67108864.")]
    [InlineData(-1L << 16, 65536L, "expected is an offset and a length of 8 bytes each, both positive")]
    [InlineData(5L << 16, 0L, "expected is an offset and a length of 8 bytes each, both positive")]
    public void A_pointer_that_leads_nowhere_is_refused(long offset, long length, string message)
    {
        Qcow2Header header = TestHeaders.Version3().WithNewLuksHeader(new HostOffset(offset), length);
        ImageFormatException refused = Assert.Throws<ImageFormatException>(() => header.Validate(10 << 16));
        Assert.Contains(message, refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(EncryptionMethod.Aes)]
    [InlineData(EncryptionMethod.Luks)]
    public void A_disk_that_ends_inside_a_sector_is_refused(object method)
    {
        Qcow2Header header = (EncryptionMethod)method == EncryptionMethod.Luks
            ? TestHeaders.Version3().WithNewLuksHeader(new HostOffset(5 << 16), 65536)
            : TestHeaders.Version3() with { Encryption = EncryptionMethod.Aes };
        header.Validate(10 << 16);
        ImageFormatException refused = Assert.Throws<ImageFormatException>(() => (header with { VirtualSize = header.VirtualSize - 100 }).Validate(10 << 16));
        Assert.Equal($"size is {header.VirtualSize - 100} at byte 24; expected is a multiple of 512 in an encrypted image.", refused.Message);
    }

    [Fact]
    public void A_method_and_a_pointer_go_together()
    {
        Qcow2Header pointed = TestHeaders.Version3().WithNewLuksHeader(new HostOffset(5 << 16), 65536);
        pointed.Validate(10 << 16);
        foreach (Qcow2Header header in new[] { pointed with { Encryption = EncryptionMethod.None }, pointed with { Encryption = EncryptionMethod.Aes }, TestHeaders.Version3() with { Encryption = EncryptionMethod.Luks } })
        {
            ImageFormatException refused = Assert.Throws<ImageFormatException>(() => header.Validate(10 << 16));
            Assert.Equal(
                $"crypt_method is {(uint)header.Encryption} at byte 32; expected is 2 (LUKS) exactly when there is a full disk encryption header pointer.", refused.Message);
        }
    }

    [Fact]
    public async Task A_cluster_that_leads_into_the_key_material_is_not_written()
    {
        await CreateAsync();
        long luks;
        await using (StorageNode file = await _world.OpenFileAsync("disk"))
        {
            luks = await LuksOffsetAsync(file);
        }

        await using (Qcow2Node disk = await _world.OpenAsync("disk"))
        {
            await disk.WriteAsync(0, new byte[512]);
        }

        await using (StorageNode file = await _world.OpenFileAsync("disk"))
        {
            byte[] header = new byte[65536];
            await file.ReadAsync(0, header);
            byte[] word = new byte[8];
            await file.ReadAsync(Qcow2Header.Parse(header).L1TableOffset.Value, word);
            long table = new L1Entry(BinaryPrimitives.ReadUInt64BigEndian(word)).L2Table.Value;
            BinaryPrimitives.WriteUInt64BigEndian(word, L2Entry.ForData(new HostOffset(luks)).Raw);
            await file.WriteAsync(table, word);
        }

        await using Qcow2Node damaged = await _world.OpenAsync("disk");
        BlockLayerException refused = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await damaged.WriteAsync(0, new byte[512]));
        Assert.Equal(BlockErrorKind.Corrupt, refused.Kind);
    }

    private async ValueTask CreateAsync()
        => await _world.CreateAsync("disk", new Qcow2CreateOptions { Length = 1 << 20, Encryption = new LuksCreateOptions { Iterations = 1000 }, Passphrase = _world.Passphrase });

    private static async ValueTask<long> LuksOffsetAsync(StorageNode file)
    {
        byte[] header = new byte[65536];
        await file.ReadAsync(0, header);
        return EncryptionHeaderPointer.Find(Qcow2Header.Parse(header))!.Value.Offset;
    }
}
