using Xunit;

namespace BlockLayer.Tests.Cli;

public sealed class SimulateCommandTests : IDisposable
{
    private readonly BlkRun _blk = new();

    public void Dispose() => _blk.Dispose();

    [Fact]
    public async Task Says_what_each_seed_did_and_what_all_did()
    {
        BlkRun.Outcome result = await _blk.RunAsync("simulate", "--seeds", "2", "--first", "2");
        Assert.Equal(0, result.Code);
        Assert.Contains("seed 2: 120 requests", result.Out, StringComparison.Ordinal);
        Assert.Contains("2 seeds kept every promise in", result.Out, StringComparison.Ordinal);
        BlkRun.Outcome again = await _blk.RunAsync("simulate", "--seeds", "1", "--first", "2");
        Assert.StartsWith(again.Out.Split('\n')[0], result.Out, StringComparison.Ordinal);
    }
}
