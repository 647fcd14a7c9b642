using System.Buffers.Binary;
using System.Security.Cryptography;
using BlockLayer.Formats.Qcow2;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Encryption;

/// <summary>The modes, against published vectors and against the framework one sector at a time.</summary>
public sealed class SectorCipherTests
{
    // IEEE 1619-2007, annex B, vectors 1, 2 and 10.
    [Theory]
    [InlineData(
        "00000000000000000000000000000000",
        "00000000000000000000000000000000",
        0,
        "0000000000000000000000000000000000000000000000000000000000000000",
        "917cf69ebd68b2ec9b9fe9a3eadda692cd43d2f59598ed858c02c2652fbf922e")]
    [InlineData(
        "11111111111111111111111111111111",
        "22222222222222222222222222222222",
        0x3333333333,
        "4444444444444444444444444444444444444444444444444444444444444444",
        "c454185e6a16936e39334038acef838bfb186fff7480adc4289382ecd6d394f0")]
    public void Xts_gives_what_the_standard_says(string dataKey, string tweakKey, long unit, string plain, string cipher)
    {
        using var xts = new XtsCipher(Convert.FromHexString(dataKey), Convert.FromHexString(tweakKey), SectorIv.Plain64);
        byte[] bytes = Convert.FromHexString(plain);
        xts.Run(unit, bytes, bytes, bytes.Length, encrypts: true);
        Assert.Equal(cipher, Convert.ToHexStringLower(bytes));
        xts.Run(unit, bytes, bytes, bytes.Length, encrypts: false);
        Assert.Equal(plain, Convert.ToHexStringLower(bytes));
    }

    [Fact]
    public void Xts_with_256_bit_keys_gives_what_the_standard_says_of_a_sector()
    {
        using var xts = new XtsCipher(
            Convert.FromHexString("2718281828459045235360287471352662497757247093699959574966967627"),
            Convert.FromHexString("3141592653589793238462643383279502884197169399375105820974944592"),
            SectorIv.Plain64);
        byte[] sector = [.. Enumerable.Range(0, 512).Select(i => (byte)i)];
        xts.Encrypt(0xff, sector, sector);
        Assert.StartsWith(
            "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b5d31e276f8fe4a8d66b317f9ac683f44680a86ac35adfc3345befecb4bb188fd",
            Convert.ToHexStringLower(sector),
            StringComparison.Ordinal);
        xts.Decrypt(0xff, sector, sector);
        Assert.Equal([.. Enumerable.Range(0, 512).Select(i => (byte)i)], sector);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(31)]
    [InlineData(33)]
    [InlineData(100)]
    public void Many_sectors_at_once_are_what_they_are_one_by_one(int sectors)
    {
        byte[] key = Pattern.Of(0, 64, writer: 1);
        SectorCipher[] ciphers =
        [
            new XtsCipher(key.AsSpan(0, 32), key.AsSpan(32), SectorIv.Plain64),
            new CbcCipher(key.AsSpan(0, 16), SectorIv.Plain64),
            new CbcCipher(key.AsSpan(0, 32), SectorIv.Essiv(key.AsSpan(0, 32), HashAlgorithmName.SHA256)),
            new CtrCipher(key.AsSpan(0, 32), SectorIv.Essiv(key.AsSpan(0, 32), HashAlgorithmName.MD5)),
            new EcbCipher(key.AsSpan(0, 16)),
        ];
        byte[] plain = Pattern.Of(0, sectors * 512, writer: 2);
        foreach (SectorCipher cipher in ciphers)
        {
            using (cipher)
            {
                byte[] together = new byte[plain.Length];
                cipher.Encrypt(1000, plain, together);
                byte[] apart = new byte[plain.Length];
                for (int i = 0; i < sectors; i++)
                {
                    cipher.Encrypt(1000 + i, plain.AsSpan(i * 512, 512), apart.AsSpan(i * 512, 512));
                }

                Assert.Equal(apart, together);
                cipher.Decrypt(1000, together, together);
                Assert.Equal(plain, together);
            }
        }
    }

    // NIST SP 800-38A, F.5.1: the counter carries out of its last byte.
    [Fact]
    public void Ctr_gives_what_the_standard_says()
    {
        using var ctr = new CtrCipher(Convert.FromHexString("2b7e151628aed2a6abf7158809cf4f3c"), new FixedIv(Convert.FromHexString("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")));
        byte[] bytes = Convert.FromHexString("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
        byte[] plain = [.. bytes];
        ctr.Run(0, bytes, bytes, bytes.Length, encrypts: true);
        Assert.Equal(
            "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee", Convert.ToHexStringLower(bytes));
        ctr.Run(0, bytes, bytes, bytes.Length, encrypts: false);
        Assert.Equal(plain, bytes);
    }

    // RFC 8018, section 5.2, step by step.
    [Theory]
    [InlineData(1, 16)]
    [InlineData(7, 20)]
    [InlineData(1000, 64)]
    public void A_key_is_derived_with_md5_as_the_definition_says(int iterations, int length)
    {
        byte[] secret = Pattern.Of(0, 21, writer: 1);
        byte[] salt = Pattern.Of(0, 32, writer: 2);
        byte[] found = new byte[length];
        LuksHash.Derive(secret, salt, found, iterations, HashAlgorithmName.MD5);
        var expected = new List<byte>();
        for (byte block = 1; expected.Count < length; block++)
        {
            byte[] round = CryptographicOperations.HmacData(HashAlgorithmName.MD5, secret, (byte[])[.. salt, 0, 0, 0, block]);
            byte[] sum = [.. round];
            for (int i = 1; i < iterations; i++)
            {
                round = CryptographicOperations.HmacData(HashAlgorithmName.MD5, secret, round);
                sum = [.. sum.Zip(round, static (left, right) => (byte)(left ^ right))];
            }

            expected.AddRange(sum);
        }

        Assert.Equal(expected.Take(length), found);
    }

    [Fact]
    public void Cbc_is_the_frameworks_with_the_number_of_the_sector_as_its_iv()
    {
        byte[] key = Pattern.Of(0, 16, writer: 3);
        byte[] plain = Pattern.Of(0, 512, writer: 4);
        byte[] iv = new byte[16];
        BinaryPrimitives.WriteInt64LittleEndian(iv, 0x1_2345_6789);
        using Aes aes = Aes.Create();
        aes.SetKey(key);
        byte[] expected = aes.EncryptCbc(plain, iv, PaddingMode.None);
        using var cbc = new CbcCipher(key, SectorIv.Plain64);
        byte[] found = new byte[512];
        cbc.Encrypt(0x1_2345_6789, plain, found);
        Assert.Equal(expected, found);

        // The IV of 32 bits forgets the rest of the number.
        using var cbc32 = new CbcCipher(key, SectorIv.Plain32);
        cbc32.Encrypt(0x2_2345_6789, plain, found);
        byte[] low = new byte[512];
        cbc.Encrypt(0x2345_6789, plain, low);
        Assert.Equal(low, found);
    }

    [Fact]
    public async Task Threads_that_share_a_cipher_do_not_disturb_each_other()
    {
        byte[] key = Pattern.Of(0, 64, writer: 5);
        using var cipher = new XtsCipher(key.AsSpan(0, 32), key.AsSpan(32), SectorIv.Plain64);
        byte[] plain = Pattern.Of(0, 64 * 512, writer: 6);
        byte[] expected = new byte[plain.Length];
        cipher.Encrypt(7, plain, expected);
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() =>
        {
            byte[] found = new byte[plain.Length];
            for (int i = 0; i < 50; i++)
            {
                cipher.Encrypt(7, plain, found);
                Assert.True(found.AsSpan().SequenceEqual(expected));
                cipher.Decrypt(7, found, found);
                Assert.True(found.AsSpan().SequenceEqual(plain));
            }
        })));
    }

    [Fact]
    public void A_disposed_cipher_does_nothing_any_more()
    {
        var cipher = new CbcCipher(new byte[16], SectorIv.Plain64);
        cipher.Dispose();
        Assert.Throws<ObjectDisposedException>(() => cipher.Encrypt(0, new byte[512], new byte[512]));
    }

    [Theory]
    [InlineData("SHA1", 32)]
    [InlineData("SHA256", 64)]
    [InlineData("SHA512", 48)]
    public void Stripes_give_the_key_back_and_any_damage_destroys_it(string hash, int keyLength)
    {
        byte[] key = Pattern.Of(0, keyLength, writer: 7);
        byte[] stripes = new byte[keyLength * 10];
        AntiForensic.Split(key, stripes, new HashAlgorithmName(hash));
        byte[] merged = new byte[keyLength];
        AntiForensic.Merge(stripes, merged, new HashAlgorithmName(hash));
        Assert.Equal(key, merged);
        stripes[3 * keyLength] ^= 1;
        AntiForensic.Merge(stripes, merged, new HashAlgorithmName(hash));
        int digest = hash == "SHA1" ? 20 : 32; // diffusion goes no further than a digest
        Assert.True(merged.Zip(key).Take(digest).Count(static pair => pair.First == pair.Second) < 8, "a damaged stripe left what it was to destroy");
    }

    private sealed class FixedIv(byte[] iv) : SectorIv
    {
        internal override void Fill(Span<byte> ivs, long firstSector) => iv.CopyTo(ivs);
    }
}
