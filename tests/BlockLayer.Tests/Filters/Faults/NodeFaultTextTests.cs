using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Primitives;
using Xunit;

namespace BlockLayer.Tests.Filters;

public class NodeFaultTextTests
{
    [Theory]
    [InlineData("all")]
    [InlineData("read")]
    [InlineData("write+flush,error=nospace")]
    [InlineData("write,range=1048576+65536,keep=2,error=io")]
    [InlineData("flush,once,keep=0")]
    [InlineData("read+status,latency=250ms")]
    [InlineData("write,state=2,first=3,every=5,count=4,next-state=1")]
    [InlineData("resize+recordbacking+close,error=denied")]
    public void A_rule_is_what_its_text_says(string text) => Assert.Equal(text, NodeFault.Parse(text).ToString());

    [Fact]
    public void Words_and_fields_belong_together()
    {
        var expected = new NodeFault
        {
            Operations = NodeOperations.Write | NodeOperations.Discard,
            Range = new ByteRange(1 << 20, 65536),
            State = 2,
            First = 3,
            Every = 5,
            Count = 7,
            Latency = TimeSpan.FromSeconds(1.5),
            KeepSectors = 9,
            Error = BlockErrorKind.NoSpace,
            NextState = 4,
        };
        Assert.Equal(
            expected,
            NodeFault.Parse("Write + discard, range=1M+64K, state=2, first=3, every=5, count=7, latency=1.5s, keep=9, error=NoSpace, next-state=4"));
        Assert.Equal(2, NodeFault.ParseAll("read,once; flush,once ;").Count);
        Assert.Empty(NodeFault.ParseAll(""));
    }

    [Theory]
    [InlineData("", "'' is no operation; known are read, write, writezeroes, discard, flush, populate, status, resize, recordbacking, close, all, joined by '+'.")]
    [InlineData("write+reed", "'reed' is no operation")]
    [InlineData("write,twice", "'twice' means nothing in a fault; known are range=OFFSET+LENGTH")]
    [InlineData("write,once=1", "'once=1' means nothing in a fault")]
    [InlineData("write,range=5", "'range=5' does not hold an offset and a length, such as 1M+64K.")]
    [InlineData("write,range=1+9223372036854775807", "does not hold an offset and a length")]
    [InlineData("write,first=x", "'first=x' does not hold a whole number.")]
    [InlineData("write,latency=5", "'latency=5' does not hold a time, such as 250ms or 5s.")]
    [InlineData("write,latency=5mss", "does not hold a time")]
    [InlineData("write,error=boom", "'error=boom' does not hold one of io, nospace,")]
    [InlineData("write,error=1", "does not hold one of")]
    [InlineData("write,first=0", "First")]
    [InlineData("write,every=0", "Every")]
    [InlineData("read,keep=1", "Read has no 1 sectors to keep; only changes have parts, and a flush can keep nothing.")]
    [InlineData("write+flush,keep=1", "Flush has no 1 sectors to keep")]
    public void What_is_no_rule_is_refused_and_says_why(string text, string message)
        => Assert.Contains(message, Assert.ThrowsAny<ArgumentException>(() => NodeFault.Parse(text)).Message, StringComparison.Ordinal);
}
