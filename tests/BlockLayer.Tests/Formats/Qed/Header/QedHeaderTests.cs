using BlockLayer.Errors;
using BlockLayer.Formats.Qed;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qed.Header;

public sealed class QedHeaderTests
{
    private const long FileLength = 5 * 65536;

    public static TheoryData<string> Golden => [.. GoldenImages.OfFormat("qed").Select(image => image.Name)];

    [Theory]
    [MemberData(nameof(Golden))]
    public void Parsing_and_writing_keeps_every_byte_that_QEMU_wrote(string name)
    {
        byte[] file = File.ReadAllBytes(GoldenImages.Get(name).Path);
        QedHeader header = QedHeader.Parse(file);
        header.Validate(file.Length);
        byte[] rewritten = file[..512];
        rewritten.AsSpan(0, QedHeader.Size).Clear();
        header.WriteTo(rewritten);
        Assert.Equal(file[..512], rewritten);
    }

    [Fact]
    public void Fields_are_little_endian_and_where_the_specification_puts_them()
    {
        byte[] bytes = new byte[QedHeader.Size];
        QedHeader header = Valid() with { CompatFeatures = 1UL << 40, AutoclearFeatures = 1UL << 41 };
        header.WriteTo(bytes);
        Assert.Equal(
            "5145440000000100040000000100000007000000000000000000000000010000"
            + "0000000000020000000001000000000000004000000000004000000009000000",
            Convert.ToHexStringLower(bytes));
        Assert.Equal(header, QedHeader.Parse(bytes));
    }

    [Fact]
    public void A_file_that_is_no_QED_image_or_too_short_is_refused()
    {
        AssertInvalid("magic is '514649fb' at byte 0; expected is '51454400'.", () => QedHeader.Parse([0x51, 0x46, 0x49, 0xfb]));
        AssertInvalid("magic is '' at byte 0; expected is '51454400'.", () => QedHeader.Parse([]));
        AssertInvalid("The file is 63 bytes long; the header takes 64.", () => QedHeader.Parse([.. "QED\0"u8, .. new byte[59]]));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2048)]
    [InlineData(65537)]
    [InlineData(1 << 27)]
    [InlineData(0x80000000)]
    [InlineData(0xffffffff)]
    public void A_cluster_size_that_is_no_power_of_two_or_out_of_range_is_refused(uint found)
        => AssertInvalid(
            $"cluster_size is {found} at byte 4; expected is a power of two from 4096 to 67108864.",
            () => (Valid() with { ClusterSize = found }).Validate(FileLength));

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(17)]
    [InlineData(32)]
    [InlineData(0xffffffff)]
    public void A_table_size_that_is_no_power_of_two_or_out_of_range_is_refused(uint found)
        => AssertInvalid(
            $"table_size is {found} at byte 8; expected is a power of two from 1 to 16.",
            () => (Valid() with { TableSize = found }).Validate(FileLength));

    [Theory]
    [InlineData(0)]
    [InlineData(0x10000)]
    [InlineData(0xffffffff)]
    public void A_header_of_no_clusters_or_of_4_GiB_is_refused(uint found)
        => AssertInvalid(
            $"header_size is {found} at byte 12; allowed is 1 to 65535.",
            () => (Valid() with { HeaderSize = found }).Validate(FileLength));

    [Fact]
    public void An_unknown_feature_is_refused_by_its_bit_number()
    {
        QedHeader header = Valid() with { Features = (QedFeatures)((1UL << 63) | (1UL << 3) | 1) };
        ImageFormatException error = Assert.Throws<ImageFormatException>(() => header.Validate(FileLength));
        Assert.Equal(BlockErrorKind.Unsupported, error.Kind);
        Assert.Equal("features has bits that are not known here: 3, 63; known are 0 to 2.", error.Message);
    }

    [Fact]
    public void Unknown_compat_and_autoclear_features_do_not_prevent_an_open()
        => (Valid() with { CompatFeatures = ulong.MaxValue, AutoclearFeatures = ulong.MaxValue }).Validate(FileLength);

    [Theory]
    [InlineData(511, "image_size is 511 at byte 48; expected is a multiple of 512.")]
    [InlineData(ulong.MaxValue, "image_size is 18446744073709551615 at byte 48; expected is a multiple of 512.")]
    [InlineData(ulong.MaxValue - 511, "image_size is 18446744073709551104 at byte 48; expected is at most 70368744177664, which the tables can map.")]
    [InlineData((1UL << 46) + 512, "image_size is 70368744178176 at byte 48; expected is at most 70368744177664, which the tables can map.")]
    public void A_size_that_the_tables_cannot_map_is_refused(ulong found, string message)
        => AssertInvalid(message, () => (Valid() with { ImageSize = found }).Validate(FileLength));

    [Theory]
    [InlineData(65537, "l1_table_offset is 65537 at byte 40; expected is a multiple of cluster_size, 65536.")]
    [InlineData(0, "l1_table_offset is 0 at byte 40; expected is at least 65536, the end of the header.")]
    [InlineData(0xffffffffffff0000, "l1_table_offset is 18446744073709486080 at byte 40; expected is a multiple of cluster_size, 65536.")]
    public void A_table_offset_that_cannot_be_one_is_refused(ulong found, string message)
        => AssertInvalid(message, () => (Valid() with { L1TableOffset = found }).Validate(FileLength));

    [Theory]
    [InlineData(131072)]
    [InlineData(0x7fffffffffff0000)]
    public void A_table_past_the_end_of_the_file_is_damage(ulong found)
    {
        ImageFormatException error = Assert.Throws<ImageFormatException>(() => (Valid() with { L1TableOffset = found }).Validate(FileLength));
        Assert.Equal(BlockErrorKind.Corrupt, error.Kind);
        Assert.Equal($"The L1 table is said to take 262144 bytes from byte {found}; the file ends at byte 327680.", error.Message);
    }

    [Theory]
    [InlineData(64, 0, "backing_filename_size is 0 at byte 60; allowed is 1 to 1023.")]
    [InlineData(64, 1024, "backing_filename_size is 1024 at byte 60; allowed is 1 to 1023.")]
    [InlineData(64, 0xffffffff, "backing_filename_size is 4294967295 at byte 60; allowed is 1 to 1023.")]
    [InlineData(63, 9, "backing_filename_offset is 63 at byte 56; allowed is 64 to 65527.")]
    [InlineData(65528, 9, "backing_filename_offset is 65528 at byte 56; allowed is 64 to 65527.")]
    [InlineData(0xffffffff, 9, "backing_filename_offset is 4294967295 at byte 56; allowed is 64 to 65527.")]
    public void A_backing_name_outside_the_header_clusters_is_refused(uint offset, uint size, string message)
        => AssertInvalid(message, () => (Valid() with { BackingNameOffset = offset, BackingNameSize = size }).Validate(FileLength));

    [Fact]
    public void Backing_name_fields_mean_nothing_without_their_feature()
        => (Valid() with { Features = QedFeatures.None, BackingNameOffset = uint.MaxValue, BackingNameSize = uint.MaxValue }).Validate(FileLength);

    private static QedHeader Valid() => new()
    {
        ClusterSize = 65536,
        TableSize = 4,
        HeaderSize = 1,
        Features = QedFeatures.Known,
        L1TableOffset = 65536,
        ImageSize = 4 << 20,
        BackingNameOffset = 64,
        BackingNameSize = 9,
    };

    private static void AssertInvalid(string message, Action action)
    {
        ImageFormatException error = Assert.Throws<ImageFormatException>(action);
        Assert.Equal(BlockErrorKind.InvalidFormat, error.Kind);
        Assert.Equal(message, error.Message);
    }
}
