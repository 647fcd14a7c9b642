using BlockLayer.Images;
using Xunit;

namespace BlockLayer.Tests.Images;

public class FilterNameTests
{
    [Theory]
    [InlineData("blkmirror:a:b", FilterKind.Mirror, "a", "b", null, "")]
    [InlineData("blkmirror:/x/a.qcow2:raw:/y/b", FilterKind.Mirror, "/x/a.qcow2", "/y/b", "raw", "")]
    [InlineData(@"blkmirror:c\:\\a:d\:b", FilterKind.Mirror, @"c:\a", "d:b", null, "")]
    [InlineData(@"blkmirror:throttle\:bps-total=1\:a:b", FilterKind.Mirror, "throttle:bps-total=1:a", "b", null, "")]
    [InlineData("blkstream:a", FilterKind.Stream, "a", null, null, "")]
    [InlineData(@"blkstream:a\:b", FilterKind.Stream, "a:b", null, null, "")]
    [InlineData("blkstream:throttle:iops-total=5:a", FilterKind.Stream, "throttle:iops-total=5:a", null, null, "")]
    [InlineData(@"blkstream:blkstream:a\:b", FilterKind.Stream, @"blkstream:a\:b", null, null, "")]
    [InlineData("blkverify:ref.raw:test.qcow2", FilterKind.Verify, "test.qcow2", "ref.raw", null, "")]
    [InlineData("throttle:bps-total=1M,iops-size=4K:a", FilterKind.Throttle, "a", null, null, "bps-total=1M,iops-size=4K")]
    [InlineData("blkdebug:read,once;write:blkverify:r:t", FilterKind.Faults, "blkverify:r:t", null, null, "read,once;write")]
    public void A_name_is_taken_apart(string text, FilterKind kind, string image, string? other, string? format, string settings)
    {
        Assert.True(FilterName.IsOne(text));
        FilterName name = FilterName.Parse(text);
        Assert.Equal((kind, image, other, format, settings), (name.Kind, name.Image, name.OtherFile, name.Format, name.Settings));
    }

    [Theory]
    [InlineData("blkmirror:a", "blkmirror:SOURCE:[FORMAT:]DEST")]
    [InlineData("blkmirror:a:b:c:d", "blkmirror:SOURCE:[FORMAT:]DEST")]
    [InlineData("blkmirror::b", "blkmirror:SOURCE:[FORMAT:]DEST")]
    [InlineData("blkmirror:a:", "blkmirror:SOURCE:[FORMAT:]DEST")]
    [InlineData("blkmirror:a::b", "blkmirror:SOURCE:[FORMAT:]DEST")]
    [InlineData("blkstream:", "blkstream:IMAGE")]
    [InlineData("blkstream:a:b", "blkstream:IMAGE")]
    [InlineData("blkverify:a", "blkverify:REFERENCE:IMAGE")]
    [InlineData("blkverify::a", "blkverify:REFERENCE:IMAGE")]
    [InlineData("throttle:a:b:c", "throttle:LIMITS:IMAGE")]
    [InlineData("blkdebug:read:", "blkdebug:RULES:IMAGE")]
    public void A_name_that_cannot_be_read_says_how_it_would(string text, string expected)
        => Assert.Equal(
            $"'{text}' does not read {expected}; a colon or backslash inside a field is written with a backslash before it.",
            Assert.Throws<ArgumentException>(() => FilterName.Parse(text)).Message);

    [Theory]
    [InlineData("disk.qcow2")]
    [InlineData("./blkstream:a")]
    [InlineData("BLKSTREAM:a")]
    [InlineData("blkstream")]
    [InlineData("json:{}")]
    [InlineData("nbd:localhost:1")]
    public void Anything_else_is_a_file(string text)
    {
        Assert.False(FilterName.IsOne(text));
        Assert.Equal([text], FilterName.FilesIn(text));
        Assert.Contains("asks for no filter", Assert.Throws<ArgumentException>(() => FilterName.Parse(text)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("b", null, "b")]
    [InlineData("raw:b", "raw", "b")]
    [InlineData("blkmirror:raw:b", "raw", "b")]
    [InlineData(@"blkmirror:a\:b", null, "a:b")]
    public void A_target_for_an_open_image_is_taken_apart(string text, string? format, string target)
        => Assert.Equal((format, target), FilterName.ParseMirrorTarget(text));

    [Theory]
    [InlineData("a:b:c")]
    [InlineData(":b")]
    [InlineData("")]
    public void A_target_that_cannot_be_read_is_refused(string text)
        => Assert.Contains("blkmirror:[FORMAT:]TARGET", Assert.Throws<ArgumentException>(() => FilterName.ParseMirrorTarget(text)).Message, StringComparison.Ordinal);

    [Fact]
    public void Escaped_names_come_back_as_they_were()
    {
        foreach (string file in new[] { "a", "a:b", @"c:\d", @"\\", @"\:", ":" })
        {
            Assert.Equal(file, FilterName.Parse($"blkstream:{FilterName.Escape(file)}").Image);
            Assert.Equal(file, FilterName.Parse($"blkmirror:{FilterName.Escape(file)}:x").Image);
            Assert.Equal(file, FilterName.Parse($"blkmirror:x:{FilterName.Escape(file)}").OtherFile);
        }
    }

    [Fact]
    public void The_files_of_nested_names_are_found()
        => Assert.Equal(["a:b", "dest", "ref"], FilterName.FilesIn(@"blkverify:ref:blkmirror:throttle\:bps-total=1\:a\\\:b:dest"));
}
