using BlockLayer.Primitives;
using Xunit;

namespace BlockLayer.Tests.Primitives;

public class ReadyListTests
{
    private readonly List<string> _log = [];

    [Fact]
    public void An_item_runs_at_once_when_nothing_runs()
    {
        ReadyList.Post(new Item(() => _log.Add("ran")));
        Assert.Equal(["ran"], _log);
    }

    [Fact]
    public void An_item_that_is_posted_by_another_runs_after_it()
    {
        ReadyList.Post(new Item(() =>
        {
            _log.Add("outer begins");
            ReadyList.Post(new Item(() => _log.Add("inner")));
            _log.Add("outer ends");
        }));
        Assert.Equal(["outer begins", "outer ends", "inner"], _log);
    }

    [Fact]
    public void Items_wait_for_the_outermost_scope()
    {
        using (ReadyList.Enter())
        {
            using (ReadyList.Enter())
            {
                ReadyList.Post(new Item(() => _log.Add("first")));
            }

            ReadyList.Post(new Item(() => _log.Add("second")));
            Assert.Empty(_log);
        }

        Assert.Equal(["first", "second"], _log);
    }

    [Fact]
    public void An_item_can_be_posted_again_by_itself()
    {
        int runs = 0;
        Item? again = null;
        again = new Item(() =>
        {
            if (++runs < 3)
            {
                ReadyList.Post(again!);
            }
        });
        ReadyList.Post(again);
        Assert.Equal(3, runs);
    }

    [Fact]
    public void An_installed_order_keeps_the_items()
    {
        var order = new Order();
        ReadyList.Install(order);
        try
        {
            ReadyList.Post(new Item(() => _log.Add("a")));
            ReadyList.Post(new Item(() => _log.Add("b")));
        }
        finally
        {
            ReadyList.Install(null);
        }

        Assert.Empty(_log);
        order.Items.Reverse();
        order.Items.ForEach(item => item.Run());
        Assert.Equal(["b", "a"], _log);
    }

    private sealed class Item(Action action) : ReadyItem
    {
        internal override void Run() => action();
    }

    private sealed class Order : ReadyOrder
    {
        internal List<ReadyItem> Items { get; } = [];

        internal override void Add(ReadyItem item) => Items.Add(item);
    }
}
