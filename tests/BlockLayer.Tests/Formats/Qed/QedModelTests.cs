using System.Collections.Immutable;
using BlockLayer.Formats.Qed;
using BlockLayer.Graph;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qed;
using FsCheck;
using FsCheck.Fluent;
using Xunit;

namespace BlockLayer.Tests.Formats.Qed;

/// <summary>Random operations on an overlay match a byte array, whatever the geometry and however long the base is.</summary>
public sealed class QedModelTests
{
    private abstract record Step
    {
        internal sealed record Write(int At, int Length, int Writer) : Step;

        internal sealed record Zero(int At, int Length, ZeroFlags Flags) : Step;

        internal sealed record Discard(int At, int Length) : Step;

        internal sealed record Populate(int At, int Length) : Step;

        internal sealed record Grow(int Sectors) : Step;

        internal sealed record Flush : Step;

        internal sealed record Reopen : Step;
    }

    [Theory]
    [InlineData(4096, 2, 150_016, 0)]
    [InlineData(4096, 2, 150_016, 70_001)]
    [InlineData(4096, 2, 150_016, 400_000)]
    [InlineData(4096, 1, 2_500_096, 2_300_000)]
    [InlineData(65536, 4, 1_049_088, 500_000)]
    [InlineData(1048576, 16, 3_000_320, 5_000_000)]
    public void Random_operations_match_a_byte_array(int clusterSize, int tableSize, int length, int baseLength)
    {
        Gen<int> clusterStart = Gen.Select(Gen.Choose(0, length / clusterSize), cluster => Math.Min(cluster * clusterSize, length - 1));
        Gen<int> at = Gen.OneOf(Gen.Choose(0, length - 1), clusterStart);
        Gen<int> span = Gen.OneOf(Gen.Choose(1, 600), Gen.Choose(1, clusterSize * 3), Gen.Constant(clusterSize));
        Gen<Step> step = Gen.Frequency(
            (8, from o in at from n in span from w in Gen.Choose(1, 200) select (Step)new Step.Write(o, n, w)),
            (3, from o in at from n in span from f in Gen.Elements(ZeroFlags.None, ZeroFlags.MayUnmap) select (Step)new Step.Zero(o, n, f)),
            (2, from o in at from n in span select (Step)new Step.Discard(o, n)),
            (3, from o in at from n in span select (Step)new Step.Populate(o, n)),
            (1, from n in Gen.Choose(1, 20) select (Step)new Step.Grow(n)),
            (1, Gen.Constant<Step>(new Step.Flush())),
            (1, Gen.Constant<Step>(new Step.Reopen())));
        Arbitrary<ImmutableArray<Step>> steps = Arb.From(Gen.Select(Gen.ListOf(step), list => list.ToImmutableArray()), Shrink);

        Prop.ForAll(steps, sequence => RunAsync(clusterSize, tableSize, length, baseLength, sequence).GetAwaiter().GetResult())
            .Check(Config.QuickThrowOnFailure.WithMaxTest(Effort.Times(30)).WithEndSize(50).WithQuietOnSuccess(true));
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

    private static async Task RunAsync(int clusterSize, int tableSize, int length, int baseLength, ImmutableArray<Step> steps)
    {
        var world = new QedWorld();
        byte[] baseContent = Pattern.Of(0, baseLength, writer: 250);
        await world.CreateRawAsync("/base.raw", baseContent);
        await world.CreateAsync("/top.qed", new QedCreateOptions { Length = length, ClusterSize = clusterSize, TableSize = Math.Max(2, tableSize) });
        if (tableSize == 1)
        {
            await world.PatchAsync("/top.qed", 8, 1); // no program creates such images, but the format has them
        }

        byte[] model = new byte[length];
        baseContent.AsSpan(0, Math.Min(baseLength, length)).CopyTo(model);
        QedNode node = await OpenAsync();
        foreach (Step step in steps)
        {
            switch (step)
            {
                case Step.Write write:
                    int count = Math.Min(write.Length, model.Length - write.At);
                    Pattern.Fill(model.AsSpan(write.At, count), write.At, write.Writer);
                    await node.WriteAsync(write.At, model.AsMemory(write.At, count));
                    break;
                case Step.Zero zero:
                    count = Math.Min(zero.Length, model.Length - zero.At);
                    model.AsSpan(zero.At, count).Clear();
                    await node.WriteZeroesAsync(zero.At, count, zero.Flags);
                    break;
                case Step.Discard discard:
                    count = Math.Min(discard.Length, model.Length - discard.At);
                    await node.DiscardAsync(discard.At, count);
                    await ModelContent.TakeOverDiscardAsync(node, model, discard.At, count);
                    break;
                case Step.Populate populate:
                    await ModelContent.PopulateAsync(node, baseContent, populate.At, populate.Length, clusterSize);
                    break;
                case Step.Grow grow:
                    Array.Resize(ref model, model.Length + (grow.Sectors * 512));
                    await node.ResizeAsync(model.Length);
                    break;
                case Step.Flush:
                    await node.FlushAsync();
                    break;
                case Step.Reopen:
                    await node.DisposeAsync();
                    node = await OpenAsync();
                    break;
            }
        }

        await ModelContent.AssertReadsAsync(node, model, "before reopening");
        ImageCheckReport check = await node.CheckAsync(progress: null, CancellationToken.None);
        Assert.Equal(0, check.Corruptions);
        await node.DisposeAsync();
        node = await OpenAsync();
        await ModelContent.AssertReadsAsync(node, model, "after reopening");
        Assert.False(node.Header.NeedsCheck);
        await node.DisposeAsync();

        ValueTask<QedNode> OpenAsync() => world.OpenAsync("/top.qed", "/base.raw", cacheLength: 1);
    }
}
