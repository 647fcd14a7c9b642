using BlockLayer.Formats.Qcow2;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Header;

public sealed class Qcow2HeaderTests
{
    public static TheoryData<GoldenImage> Images => new(GoldenImages.OfFormat("qcow2"));

    [Theory]
    [MemberData(nameof(Images), DisableDiscoveryEnumeration = true)]
    public void Header_written_by_QEMU_is_valid_and_is_written_back_byte_for_byte(GoldenImage image)
    {
        byte[] file = File.ReadAllBytes(image.Path);
        Qcow2Header header = Qcow2Header.Parse(file);
        header.Validate(file.Length);
        byte[] written = new byte[header.ClusterSize];
        header.WriteTo(written);
        Assert.Equal(file[..header.ClusterSize], written);
        Assert.Equal(image.VirtualSize, header.VirtualSize);
    }

    [Theory]
    [InlineData("q7-v2.qcow2", 2, 16, 4, "")]
    [InlineData("q7-c512.qcow2", 3, 9, 4, "")]
    [InlineData("q7-rc1.qcow2", 3, 12, 0, "")]
    [InlineData("q7-rc64.qcow2", 3, 12, 6, "")]
    [InlineData("q7-zstd.qcow2", 3, 16, 4, "CompressionType")]
    [InlineData("q7-extl2-16k.qcow2", 3, 14, 4, "ExtendedL2")]
    [InlineData("q7-datafile.qcow2", 3, 16, 4, "ExternalDataFile")]
    [InlineData("q7-lazy-dirty.qcow2", 3, 16, 4, "Dirty")]
    public void Fields_are_what_qemu_img_was_asked_for(string name, int version, int clusterBits, int refcountOrder, string features)
    {
        Qcow2Header header = Qcow2Header.Parse(File.ReadAllBytes(GoldenImages.Get(name).Path));
        Assert.Equal((version, clusterBits, refcountOrder), (header.Version, header.ClusterBits, header.RefcountOrder));
        Assert.Equal(features.Length == 0 ? IncompatibleFeatures.None : Enum.Parse<IncompatibleFeatures>(features), header.Incompatible);
    }

    [Fact]
    public void Backing_file_name_and_format_are_read()
    {
        Qcow2Header header = Qcow2Header.Parse(File.ReadAllBytes(GoldenImages.Get("q11-top.qcow2").Path));
        Assert.Equal(("q11-mid.qcow2", "qcow2"), (header.BackingName, header.BackingFormat));
    }

    [Fact]
    public void Feature_names_are_those_QEMU_writes()
    {
        Qcow2Header header = Qcow2Header.Parse(File.ReadAllBytes(GoldenImages.Get("q11-v3.qcow2").Path));
        Assert.Equal(header.Extensions.Find(HeaderExtensionType.FeatureNameTable)!.Data.ToArray(), FeatureNameTable.Create().Data.ToArray());
    }

    [Fact]
    public void Unknown_extensions_and_unknown_additional_fields_are_kept_byte_for_byte()
    {
        HeaderExtension unknown = new((HeaderExtensionType)0x12345678, new byte[] { 1, 2, 3 }, new byte[] { 9, 9, 9, 9, 9 });
        Qcow2Header header = TestHeaders.Version3() with
        {
            AdditionalFields = Pattern.Of(0, 24, writer: 1),
            Extensions = HeaderExtensions.Create([unknown, FeatureNameTable.Create(), unknown]),
        };
        byte[] bytes = header.Bytes();
        Assert.Equal(bytes, Qcow2Header.Parse(bytes).Bytes());
    }

    [Fact]
    public void Area_without_end_marker_ends_at_the_backing_file_name()
    {
        Qcow2Header header = TestHeaders.Version2() with { BackingFileOffset = new(72), BackingFileSize = 4, BackingNameBytes = "base"u8.ToArray() };
        byte[] bytes = new byte[65536];
        header.WriteTo(bytes);
        "base"u8.CopyTo(bytes.AsSpan(72));
        Qcow2Header read = Qcow2Header.Parse(bytes);
        Assert.Equal((0, "base"), (read.Extensions.Length, read.BackingName));
        Assert.Equal(bytes, read.Bytes());
    }

    [Fact]
    public void New_name_lies_behind_the_extensions()
    {
        Qcow2Header header = TestHeaders.Version3().WithNewExtensions("raw").WithNewBackingName("base.img");
        Qcow2Header read = Qcow2Header.Parse(header.Bytes());
        read.Validate(TestHeaders.FileLength);
        Assert.Equal(("base.img", "raw", read.AreaLength), (read.BackingName, read.BackingFormat, read.BackingFileOffset.Value));
    }

    [Theory]
    [InlineData(9)]
    [InlineData(10)]
    public void Small_clusters_leave_room_for_a_name_instead_of_feature_names(int clusterBits)
    {
        Qcow2Header header = (TestHeaders.Version3() with { ClusterBits = clusterBits }).WithNewExtensions("raw").WithNewBackingName(new string('n', 300));
        Assert.Null(header.Extensions.Find(HeaderExtensionType.FeatureNameTable));
        Assert.Equal(header.BackingName, Qcow2Header.Parse(header.Bytes()).BackingName);
    }
}
