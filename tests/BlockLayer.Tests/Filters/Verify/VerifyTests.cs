using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Contracts;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Filters;

/// <summary>A node that is compared with another is a node like any other, and the suite's own changes never make the two differ.</summary>
public class VerifyContract : NodeContract
{
    private protected override async ValueTask<BlockNode> CreateAsync(long length)
    {
        BlockEnvironment environment = TestEnvironment.Inline();
        ScriptedNode tested = await ScriptedNode.CreateAsync(environment, length, new BlockLimits { RequestAlignment = 512, DiscardGranularity = 4096 });
        return await VerifyNode.CreateAsync(tested, new MemoryOverlayNode("reference", length, 65536, environment));
    }
}

public class VerifyTests
{
    private const int Length = 1 << 20;

    private readonly BlockEnvironment _environment = TestEnvironment.Inline();
    private readonly HeldSteps _steps = new();

    [Theory]
    [InlineData(0, 0, 1)]
    [InlineData(700_001, 700_000, 2)]
    [InlineData(Length - 1, 0, Length)]
    public async Task A_read_that_differs_fails_and_names_the_first_byte(int at, int offset, int length)
    {
        await using VerifyNode verify = await NewAsync();
        await verify.WriteAsync(0, Pattern.Of(0, Length, 1));
        await SpoilAsync(verify.SkipFilters(), at);
        ContentMismatchException error = await Assert.ThrowsAsync<ContentMismatchException>(async () => await verify.ReadAsync(offset, new byte[length]));
        Assert.Equal((BlockErrorKind.Corrupt, (long?)at, "tested", "reference"), (error.Kind, error.Offset, error.NodeName, error.OtherNodeName));
        Assert.Equal(((byte)~Pattern.At(at, 1), Pattern.At(at, 1)), (error.Found, error.Expected));
        Assert.Equal($"'tested' and 'reference' differ: byte {at} is 0x{error.Found:x2} in the first and 0x{error.Expected:x2} in the second.", error.Message);
    }

    [Fact]
    public async Task Requests_beside_what_differs_are_served()
    {
        await using VerifyNode verify = await NewAsync();
        await SpoilAsync(verify.Reference, 5000);
        await verify.ReadAsync(0, new byte[5000]);
        await verify.ReadAsync(5001, new byte[5000]);
        await verify.WriteAsync(5000, new byte[1]); // both hold the same again
        await verify.ReadAsync(0, new byte[10_000]);
    }

    [Fact]
    public async Task A_discard_may_leave_or_zero_each_byte_and_the_reference_follows()
    {
        await using VerifyNode verify = await NewAsync(cluster: 4096);
        await verify.WriteAsync(0, Pattern.Of(0, 100_000, 1));
        await verify.DiscardAsync(10_000, 50_000); // whole clusters vanish, the ends stay
        byte[] found = new byte[100_000];
        await verify.ReadAsync(0, found);
        Assert.Equal(Pattern.At(10_000, 1), found[10_000]);
        Assert.Equal(0, found[12_288]);
    }

    // A tested node that shows what was hidden below when a range is discarded breaks its contract.
    [Fact]
    public async Task A_discard_that_brings_back_hidden_bytes_is_caught()
    {
        await using VerifyNode verify = await NewAsync(cluster: 4096);
        await verify.WriteAsync(0, Pattern.Of(0, 65_536, 1));
        var tested = (MemoryOverlayNode)verify.SkipFilters();
        _steps.Delay = async step =>
        {
            if (step == OverlayStep.Read)
            {
                _steps.Delay = null;
                await SpoilAsync(tested, 40_000);
            }
        };
        tested.Steps = _steps;
        ContentMismatchException error = await Assert.ThrowsAsync<ContentMismatchException>(async () => await verify.DiscardAsync(100, 60_000));
        Assert.Equal(40_000, error.Offset);
    }

    [Theory]
    [InlineData(OverlayStep.Write)]
    [InlineData(OverlayStep.Store)]
    public async Task A_range_whose_change_failed_is_not_compared_until_it_is_changed_again(OverlayStep failing)
    {
        await using VerifyNode verify = await NewAsync();
        if (failing == OverlayStep.Write)
        {
            await verify.WriteAsync(0, new byte[65_536]);
        }

        ((MemoryOverlayNode)verify.SkipFilters()).Steps = _steps;
        _steps.FailWhen((step, _) => step == failing ? BlockErrorKind.NoSpace : null);
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(async () => await verify.WriteAsync(1000, Pattern.Of(1000, 2000, 1)));
        Assert.Equal(BlockErrorKind.NoSpace, error.Kind);
        _steps.FailNothing();
        await verify.ReadAsync(0, new byte[8000]); // the sides do differ, and that is nobody's fault
        await verify.WriteAsync(1000, Pattern.Of(1000, 500, 2));
        await SpoilAsync(verify.Reference, 1400);
        await verify.ReadAsync(1500, new byte[1500]);
        ContentMismatchException mismatch = await Assert.ThrowsAsync<ContentMismatchException>(async () => await verify.ReadAsync(0, new byte[8000]));
        Assert.Equal(1400, mismatch.Offset);
    }

    [Fact]
    public async Task A_side_that_fails_is_told_and_both_are_waited_for()
    {
        await using VerifyNode verify = await NewAsync();
        var reference = (MemoryOverlayNode)verify.Reference;
        reference.Steps = _steps;
        foreach (OverlayStep step in new[] { OverlayStep.Read, OverlayStep.Flush, OverlayStep.Store })
        {
            _steps.FailWhen((met, _) => met == step ? BlockErrorKind.Io : null);
            Func<ValueTask> request = step switch
            {
                OverlayStep.Read => () => verify.ReadAsync(0, new byte[10]),
                OverlayStep.Flush => () => verify.FlushAsync(),
                _ => () => verify.WriteAsync(0, new byte[10]),
            };
            BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(async () => await request());
            Assert.Contains("of reference", error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Sides_of_different_length_and_sides_that_are_taken_are_refused()
    {
        var tested = new MemoryOverlayNode("tested", Length, 4096, _environment);
        var shorter = new MemoryOverlayNode("reference", 512, 4096, _environment);
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(async () => await VerifyNode.CreateAsync(tested, shorter));
        Assert.Equal("'tested' is 1048576 bytes long and 'reference' 512; what is compared has one length.", error.Message);
        Assert.Equal(BlockErrorKind.OutOfRange, error.Kind);
        error = await Assert.ThrowsAsync<BlockLayerException>(async () => await VerifyNode.CreateAsync(tested, tested));
        Assert.Equal(BlockErrorKind.Conflict, error.Kind);
        await tested.WriteAsync(0, new byte[1]); // still the caller's
        await tested.DisposeAsync();
    }

    [Fact]
    public void Undecided_ranges_are_cut_out_and_filled_in()
    {
        var random = new Random(5);
        var ranges = new UndecidedRanges();
        bool[] model = new bool[200];
        for (int i = 0; i < 2000; i++)
        {
            var range = new ByteRange(random.Next(150), random.Next(1, 50));
            bool undecided = random.Next(2) == 0;
            (undecided ? (Action<ByteRange>)ranges.Add : ranges.Remove)(range);
            model.AsSpan((int)range.Offset, (int)range.Length).Fill(undecided);
            bool[] found = Enumerable.Repeat(true, 200).ToArray();
            foreach (ByteRange known in ranges.KnownPartsOf(new ByteRange(0, 200)))
            {
                found.AsSpan((int)known.Offset, (int)known.Length).Clear();
            }

            Assert.Equal(model, found);
        }
    }

    private async Task<VerifyNode> NewAsync(int cluster = 65536)
        => await VerifyNode.CreateAsync(
            new MemoryOverlayNode("tested", Length, cluster, _environment), new MemoryOverlayNode("reference", Length, 4096, _environment));

    // Past the filter, as a bug would.
    private static async Task SpoilAsync(BlockNode side, long offset)
    {
        byte[] old = new byte[1];
        await side.ReadAsync(Origin.Edge, offset, old, ReadFlags.None, CancellationToken.None);
        await side.WriteAsync(Origin.Edge, offset, new[] { (byte)~old[0] }, WriteFlags.None, CancellationToken.None);
    }
}
