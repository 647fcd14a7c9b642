using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Header;

/// <summary>One broken field each: the kind of the error, and a sentence that names the field, what was found and what is allowed.</summary>
public sealed class Qcow2HeaderHostileTests
{
    [Theory]
    [InlineData(0, 0x5146_49fau, "magic is 0x514649fa at byte 0; expected is 0x514649fb.")]
    [InlineData(4, 0u, "version is 0 at byte 4; allowed is 2 to 3.")]
    [InlineData(4, 4u, "version is 4 at byte 4; allowed is 2 to 3.")]
    [InlineData(4, 255u, "version is 255 at byte 4; allowed is 2 to 3.")]
    [InlineData(20, 3u, "cluster_bits is 3 at byte 20; allowed is 9 to 21.")]
    [InlineData(20, 8u, "cluster_bits is 8 at byte 20; allowed is 9 to 21.")]
    [InlineData(20, 22u, "cluster_bits is 22 at byte 20; allowed is 9 to 21.")]
    [InlineData(20, 63u, "cluster_bits is 63 at byte 20; allowed is 9 to 21.")]
    [InlineData(20, 64u, "cluster_bits is 64 at byte 20; allowed is 9 to 21.")]
    [InlineData(20, 255u, "cluster_bits is 255 at byte 20; allowed is 9 to 21.")]
    [InlineData(20, uint.MaxValue, "cluster_bits is 4294967295 at byte 20; allowed is 9 to 21.")]
    [InlineData(32, 9u, "crypt_method is 9 at byte 32; allowed is 0 to 2.")]
    [InlineData(36, 0u, "l1_size is 0 at byte 36; allowed is 1 to 4194304.")]
    [InlineData(36, 4194305u, "l1_size is 4194305 at byte 36; allowed is 1 to 4194304.")]
    [InlineData(56, 0u, "refcount_table_clusters is 0 at byte 56; allowed is 1 to 128.")]
    [InlineData(56, 129u, "refcount_table_clusters is 129 at byte 56; allowed is 1 to 128.")]
    [InlineData(96, 7u, "refcount_order is 7 at byte 96; allowed is 0 to 6.")]
    [InlineData(96, uint.MaxValue, "refcount_order is 4294967295 at byte 96; allowed is 0 to 6.")]
    [InlineData(100, 96u, "header_length is 96 at byte 100; allowed is 104 to 65536.")]
    [InlineData(100, 65544u, "header_length is 65544 at byte 100; allowed is 104 to 65536.")]
    [InlineData(100, uint.MaxValue, "header_length is 4294967295 at byte 100; allowed is 104 to 65536.")]
    [InlineData(100, 109u, "header_length is 109 at byte 100; expected is a multiple of 8.")]
    [InlineData(116, uint.MaxValue, "Length of the header extension data is 4294967295 at byte 116; expected is at most 65416 for extension 0x6803f857.")]
    [InlineData(116, 65417u, "Length of the header extension data is 65417 at byte 116; expected is at most 65416 for extension 0x6803f857.")]
    public void Field_of_32_bits_out_of_range_is_refused_by_name(int at, uint value, string message)
        => AssertRefused(BlockErrorKind.InvalidFormat, message, TestHeaders.Version3().BytesWith32(at, value));

    [Theory]
    [InlineData(24, 0x8000_0000_0000_0000, "size is 9223372036854775808 at byte 24; expected is at most 9223372036854775807.")]
    [InlineData(24, ulong.MaxValue, "size is 18446744073709551615 at byte 24; expected is at most 9223372036854775807.")]
    [InlineData(24, long.MaxValue, "size is 9223372036854775807 at byte 24; expected is at most 4194304 L1 entries of 536870912 bytes each.")]
    [InlineData(24, 536870913ul, "l1_size is 1 at byte 36; allowed is 2 to 4194304.")]
    [InlineData(40, 65537ul, "l1_table_offset is 0x10001 at byte 40; expected is a multiple of the cluster size 65536.")]
    [InlineData(40, 0xffff_ffff_ffff_0000, "l1_table_offset is 0xffffffffffff0000 at byte 40; expected is a multiple of the cluster size 65536.")]
    [InlineData(48, 512ul, "refcount_table_offset is 0x200 at byte 48; expected is a multiple of the cluster size 65536.")]
    [InlineData(48, 0x8000_0000_0000_0000, "refcount_table_offset is 0x8000000000000000 at byte 48; expected is a multiple of the cluster size 65536.")]
    public void Field_of_64_bits_out_of_range_is_refused_by_name(int at, ulong value, string message)
        => AssertRefused(BlockErrorKind.InvalidFormat, message, TestHeaders.Version3().BytesWith64(at, value));

    [Theory]
    [InlineData(40, 0x50000ul, "L1 table of 8 bytes at byte 327680 does not end inside the file of 262152 bytes.")]
    [InlineData(40, 0x7fff_ffff_ffff_0000, "L1 table of 8 bytes at byte 9223372036854710272 does not end inside the file of 262152 bytes.")]
    [InlineData(48, 0x40000ul, "refcount table of 65536 bytes at byte 262144 does not end inside the file of 262152 bytes.")]
    [InlineData(40, 0ul, "L1 table [0x0, 0x8) overlaps header [0x0, 0x10000).")]
    [InlineData(40, 0x10000ul, "L1 table [0x10000, 0x10008) overlaps refcount table [0x10000, 0x20000).")]
    [InlineData(48, 0ul, "refcount table [0x0, 0x10000) overlaps header [0x0, 0x10000).")]
    public void Table_outside_the_file_or_on_another_structure_is_corrupt(int at, ulong value, string message)
        => AssertRefused(BlockErrorKind.Corrupt, message, TestHeaders.Version3().BytesWith64(at, value));

    [Theory]
    [InlineData(1u, 0x30000ul)]
    [InlineData(65537u, 0x30000ul)]
    [InlineData(uint.MaxValue, 0x30200ul)]
    [InlineData(1u, 0ul)]
    [InlineData(1u, 0x4000_0000ul)]
    [InlineData(1u, ulong.MaxValue)]
    public void Snapshot_table_that_cannot_be_is_no_reason_to_refuse_the_disk(uint count, ulong offset)
        => (TestHeaders.Version3() with { SnapshotCount = count, SnapshotsOffset = new((long)offset) }).Validate(TestHeaders.FileLength);

    [Fact]
    public void Largest_L1_table_is_not_read_before_the_file_is_known_to_hold_it()
        => AssertRefused(BlockErrorKind.Corrupt, "L1 table of 33554432 bytes at byte 262144 does not end inside the file of 262152 bytes.", TestHeaders.Version3().BytesWith32(36, 4194304));

    [Theory]
    [InlineData(0)]
    [InlineData(23)]
    [InlineData(71)]
    [InlineData(103)]
    public void File_shorter_than_its_header_is_refused(int length)
    {
        var error = Assert.Throws<ImageFormatException>(() => Qcow2Header.Parse(TestHeaders.Version3().Bytes().AsSpan(0, length)));
        Assert.StartsWith($"length of the file is {length} bytes", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Version_1_is_refused_by_name()
        => AssertRefused(BlockErrorKind.Unsupported, "version is 1 at byte 4: qcow, the predecessor of qcow2, is not implemented.", TestHeaders.Version3().BytesWith32(4, 1));

    [Fact]
    public void Unknown_incompatible_bit_without_a_name_is_refused_by_number()
        => AssertRefused(
            BlockErrorKind.Unsupported,
            "incompatible_features at byte 72 has unknown bits: 5, 63.",
            (TestHeaders.Version3() with { Incompatible = (IncompatibleFeatures)(1UL << 63 | 1 << 5) }).Bytes());

    [Fact]
    public void Unknown_incompatible_bit_is_refused_by_the_name_the_image_gives_made_printable()
    {
        byte[] names = new byte[FeatureNameTable.EntryLength + 5];
        names[1] = 63;
        "time\ntravel"u8.CopyTo(names.AsSpan(2));
        Qcow2Header header = TestHeaders.Version3() with
        {
            Incompatible = (IncompatibleFeatures)(1UL << 63),
            Extensions = HeaderExtensions.Create([HeaderExtension.Create(HeaderExtensionType.FeatureNameTable, names)]),
        };
        AssertRefused(BlockErrorKind.Unsupported, "incompatible_features at byte 72 has unknown bits: 63 (\"time?travel\").", header.Bytes());
    }

    [Fact]
    public void Known_extension_a_second_time_is_refused()
    {
        HeaderExtension format = HeaderExtension.Create(HeaderExtensionType.BackingFormat, "raw");
        Qcow2Header header = TestHeaders.Version3() with { Extensions = HeaderExtensions.Create([format, format]) };
        AssertRefused(BlockErrorKind.InvalidFormat, "Header extension type is 0xe2792aca a second time at byte 128; expected is one of each type.", header.Bytes());
    }

    [Fact]
    public void Long_backing_format_is_refused()
        => AssertRefused(
            BlockErrorKind.InvalidFormat,
            "length of the backing file format name is 16 at byte 112; allowed is 0 to 15.",
            TestHeaders.Version3().WithNewExtensions("sixteen-letters!").Bytes());

    [Theory]
    [InlineData(100ul, 4u, "backing_file_offset is 100 at byte 8; expected is 0 or 112 to 65536.")]
    [InlineData(65537ul, 4u, "backing_file_offset is 65537 at byte 8; expected is 0 or 112 to 65536.")]
    [InlineData(ulong.MaxValue, 4u, "backing_file_offset is 18446744073709551615 at byte 8; expected is 0 or 112 to 65536.")]
    [InlineData(65530ul, 7u, "backing_file_size is 7 at byte 16; allowed is 0 to 6.")]
    [InlineData(1024ul, 1024u, "backing_file_size is 1024 at byte 16; allowed is 0 to 1023.")]
    [InlineData(1024ul, uint.MaxValue, "backing_file_size is 4294967295 at byte 16; allowed is 0 to 1023.")]
    public void Backing_name_outside_its_place_is_refused(ulong offset, uint size, string message)
    {
        Qcow2Header header = TestHeaders.Version3() with { BackingFileSize = size };
        AssertRefused(BlockErrorKind.InvalidFormat, message, header.BytesWith64(8, offset));
    }

    [Fact]
    public void Backing_name_inside_the_extensions_cuts_them_off()
    {
        byte[] bytes = (TestHeaders.Version3() with { BackingFileSize = 4 }).BytesWith64(8, 200);
        AssertRefused(BlockErrorKind.InvalidFormat, "Length of the header extension data is 384 at byte 116; expected is at most 80 for extension 0x6803f857.", bytes);
    }

    [Fact]
    public void Backing_name_with_a_zero_byte_is_refused()
        => AssertRefused(
            BlockErrorKind.InvalidFormat,
            "backing file name is text with a zero byte at byte 512; expected is text without one.",
            TestHeaders.Version3().WithNewBackingName("base\0.img").Bytes());

    [Fact]
    public void Backing_name_that_is_not_text_is_refused()
    {
        Qcow2Header header = TestHeaders.Version3() with { BackingFileOffset = new(512), BackingFileSize = 2, BackingNameBytes = new byte[] { 0xc3, 0x28 } };
        AssertRefused(BlockErrorKind.InvalidFormat, "backing file name at byte 512 is not valid UTF-8.", header.Bytes());
    }

    [Fact]
    public void Backing_name_of_no_bytes_is_no_backing_file()
    {
        Qcow2Header header = Qcow2Header.Parse((TestHeaders.Version3() with { BackingFileOffset = new(512) }).Bytes());
        header.Validate(TestHeaders.FileLength);
        Assert.False(header.HasBackingFile);
        Assert.Null(header.BackingName);
    }

    [Fact]
    public void Compression_type_without_its_bit_is_refused()
        => AssertRefused(
            BlockErrorKind.InvalidFormat,
            "compression_type is 1 at byte 104; expected is 0 exactly when the bit \"Compression type\" of incompatible_features is clear.",
            (TestHeaders.Version3() with { AdditionalFields = Qcow2Header.NewAdditionalFields(CompressionType.Zstd) }).Bytes());

    [Fact]
    public void Unknown_compression_type_is_unsupported()
        => AssertRefused(
            BlockErrorKind.Unsupported,
            "compression_type is 2 at byte 104; 0 (zlib) and 1 (zstd) are known.",
            (TestHeaders.Version3() with { AdditionalFields = Qcow2Header.NewAdditionalFields((CompressionType)2), Incompatible = IncompatibleFeatures.CompressionType }).Bytes());

    [Fact]
    public void Extended_L2_entries_in_small_clusters_are_refused()
        => AssertRefused(
            BlockErrorKind.InvalidFormat,
            "cluster_bits is 13 at byte 20; allowed is 14 to 21.",
            (TestHeaders.Version3() with { Incompatible = IncompatibleFeatures.ExtendedL2, ClusterBits = 13 }).Bytes());

    [Fact]
    public void Version_2_reads_no_field_of_version_3()
    {
        byte[] bytes = TestHeaders.Version2().Bytes();
        bytes.AsSpan(80, 64).Fill(0xff);
        Qcow2Header header = Qcow2Header.Parse(bytes);
        header.Validate(TestHeaders.FileLength);
        Assert.Equal((IncompatibleFeatures.None, 4), (header.Incompatible, header.RefcountOrder));
    }

    [Fact]
    public void Any_single_byte_of_garbage_is_accepted_or_refused_with_a_typed_error()
    {
        byte[] valid = TestHeaders.Version3().WithNewExtensions("raw").WithNewBackingName("base").Bytes();
        for (int at = 0; at < 600; at++)
        {
            foreach (byte value in (byte[])[0, 1, 0x7f, 0x80, 0xff])
            {
                byte[] bytes = [.. valid];
                bytes[at] = value;
                if (Record.Exception(() => Qcow2Header.Parse(bytes).Validate(TestHeaders.FileLength)) is { } error)
                {
                    Assert.IsType<ImageFormatException>(error);
                }
            }
        }
    }

    private static void AssertRefused(BlockErrorKind kind, string message, byte[] firstCluster)
    {
        var error = Assert.Throws<ImageFormatException>(() => Qcow2Header.Parse(firstCluster).Validate(TestHeaders.FileLength));
        Assert.Equal(message, error.Message);
        Assert.Equal(kind, error.Kind);
    }
}
