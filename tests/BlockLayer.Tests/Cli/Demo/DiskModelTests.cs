using BlockLayer.Cli.Demo;
using Xunit;

namespace BlockLayer.Tests.Cli.Demo;

public sealed class DiskModelTests
{
    private readonly DiskModel _model = new(1 << 20);

    [Fact]
    public void A_new_disk_holds_zeroes()
    {
        Assert.Null(_model.FindDifference(new byte[4096], 8192));
        byte[] one = new byte[4096];
        one[700] = 1;
        Assert.Equal(8192 + 700, _model.FindDifference(one, 8192));
    }

    [Fact]
    public void Only_the_last_write_is_right()
    {
        byte[] first = Content(1024, 2048, write: 1);
        byte[] second = Content(1024, 1024, write: 2);
        _model.Record(1024, 2048, write: 1);
        Assert.Null(_model.FindDifference(first, 1024));
        _model.Record(1024, 1024, write: 2);
        Assert.InRange(_model.FindDifference(first, 1024)!.Value, 1024, 1024 + 511);
        second.CopyTo(first, 0);
        Assert.Null(_model.FindDifference(first, 1024));
        _model.Record(1024, 2048, write: 0);
        Assert.Null(_model.FindDifference(new byte[2048], 1024));
    }

    [Fact]
    public void Content_of_another_place_is_wrong()
    {
        _model.Record(0, 1 << 20, write: 5);
        Assert.NotNull(_model.FindDifference(Content(512, 512, write: 5), 1024));
    }

    [Fact]
    public void A_copy_stays_as_it_was()
    {
        _model.Record(0, 512, write: 1);
        DiskModel copy = _model.Copy();
        _model.Record(0, 512, write: 2);
        Assert.Null(copy.FindDifference(Content(0, 512, write: 1), 0));
    }

    private static byte[] Content(long offset, int length, uint write)
    {
        byte[] content = new byte[length];
        DiskModel.Fill(content, offset, write);
        return content;
    }
}
