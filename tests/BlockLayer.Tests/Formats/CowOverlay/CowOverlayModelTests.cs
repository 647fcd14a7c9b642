using System.Collections.Immutable;
using BlockLayer.Formats.CowOverlay;
using BlockLayer.Graph;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.CowOverlay;
using FsCheck;
using FsCheck.Fluent;
using Xunit;

namespace BlockLayer.Tests.Formats.CowOverlay;

/// <summary>Random operations on an overlay match a byte array, and so does what a program of the specification alone reads of the files afterwards.</summary>
public sealed class CowOverlayModelTests
{
    private abstract record Step
    {
        internal sealed record Write(int At, int Length, int Writer) : Step;

        internal sealed record Zero(int At, int Length, ZeroFlags Flags) : Step;

        internal sealed record Discard(int At, int Length) : Step;

        internal sealed record Populate(int At, int Length) : Step;

        internal sealed record Resize(int Length) : Step;

        internal sealed record Flush : Step;

        internal sealed record Reopen : Step;
    }

    [Theory]
    [InlineData(4096, 150_016, 0)]
    [InlineData(4096, 150_016, 70_001)]
    [InlineData(4096, 150_016, 400_000)]
    [InlineData(65_536, 500_001, 250_000)]
    [InlineData(2_097_152, 2_500_096, 5_000_000)]
    public void Random_operations_match_a_byte_array(int clusterSize, int length, int baseLength)
    {
        Gen<int> clusterStart = Gen.Select(Gen.Choose(0, length / clusterSize), cluster => Math.Min(cluster * clusterSize, length - 1));
        Gen<int> at = Gen.OneOf(Gen.Choose(0, length - 1), clusterStart);
        Gen<int> span = Gen.OneOf(Gen.Choose(1, 600), Gen.Choose(1, Math.Min(clusterSize * 3, length)), Gen.Constant(clusterSize));
        Gen<Step> step = Gen.Frequency(
            (8, from o in at from n in span from w in Gen.Choose(1, 200) select (Step)new Step.Write(o, n, w)),
            (3, from o in at from n in span from f in Gen.Elements(ZeroFlags.None, ZeroFlags.MayUnmap) select (Step)new Step.Zero(o, n, f)),
            (2, from o in at from n in span select (Step)new Step.Discard(o, n)),
            (3, from o in at from n in span select (Step)new Step.Populate(o, n)),
            (2, from n in Gen.Choose(0, 2 * length) select (Step)new Step.Resize(n)),
            (1, Gen.Constant<Step>(new Step.Flush())),
            (1, Gen.Constant<Step>(new Step.Reopen())));
        Arbitrary<ImmutableArray<Step>> steps = Arb.From(Gen.Select(Gen.ListOf(step), list => list.ToImmutableArray()), Shrink);

        int tests = Effort.Times(clusterSize > 100_000 ? 8 : 30);
        Prop.ForAll(steps, sequence => RunAsync(clusterSize, length, baseLength, sequence).GetAwaiter().GetResult())
            .Check(Config.QuickThrowOnFailure.WithMaxTest(tests).WithEndSize(50).WithQuietOnSuccess(true));
    }

    private static IEnumerable<ImmutableArray<Step>> Shrink(ImmutableArray<Step> steps)
    {
        for (int chunk = steps.Length; chunk >= 1; chunk /= 2)
        {
            for (int at = 0; at < steps.Length; at += chunk)
            {
                yield return steps.RemoveRange(at, Math.Min(chunk, steps.Length - at));
            }
        }
    }

    private static async Task RunAsync(int clusterSize, int length, int baseLength, ImmutableArray<Step> steps)
    {
        var world = new CowOverlayWorld();
        byte[] backing = Pattern.Of(0, baseLength, writer: 250);
        await world.WriteBaseAsync(backing);
        await world.CreateAsync(length, clusterSize, CowOverlayWorld.OverBase);
        byte[] model = new byte[length];
        backing.AsSpan(0, Math.Min(baseLength, length)).CopyTo(model);
        CowOverlayNode node = await world.OpenAsync();
        foreach (Step step in steps)
        {
            switch (step)
            {
                case Step.Write write when write.At < model.Length:
                    int count = Math.Min(write.Length, model.Length - write.At);
                    Pattern.Fill(model.AsSpan(write.At, count), write.At, write.Writer);
                    await node.WriteAsync(write.At, model.AsMemory(write.At, count));
                    break;
                case Step.Zero zero when zero.At < model.Length:
                    count = Math.Min(zero.Length, model.Length - zero.At);
                    model.AsSpan(zero.At, count).Clear();
                    await node.WriteZeroesAsync(zero.At, count, zero.Flags);
                    break;
                case Step.Discard discard when discard.At < model.Length:
                    count = Math.Min(discard.Length, model.Length - discard.At);
                    await node.DiscardAsync(discard.At, count);
                    await ModelContent.TakeOverDiscardAsync(node, model, discard.At, count);
                    break;
                case Step.Populate populate when populate.At < model.Length:
                    await ModelContent.PopulateAsync(node, backing, populate.At, populate.Length, clusterSize);
                    break;
                case Step.Resize resize:
                    Array.Resize(ref model, resize.Length);
                    await node.ResizeAsync(resize.Length, new ResizeOptions { AllowShrink = true });
                    break;
                case Step.Flush:
                    await node.FlushAsync();
                    break;
                case Step.Reopen:
                    await node.DisposeAsync();
                    node = await world.OpenAsync();
                    break;
            }
        }

        await ModelContent.AssertReadsAsync(node, model, "before reopening");
        await node.DisposeAsync();
        node = await world.OpenAsync(NodeAccess.ReadOnly);
        await ModelContent.AssertReadsAsync(node, model, "after reopening");
        ImageCheckReport check = await node.CheckAsync(progress: null, CancellationToken.None);
        Assert.True(check.IsClean, string.Join(' ', check.Findings));
        await node.DisposeAsync();

        var peer = new AddCowByTheBook(
            await world.ReadFileAsync(CowOverlayWorld.Top), await world.ReadFileAsync(CowOverlayWorld.Image), backing);
        Assert.Equal(model.Length, peer.ReadAll().AsSpan().CommonPrefixLength(model));
    }
}
