using System.Collections.Immutable;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using FsCheck;
using FsCheck.Fluent;
using Xunit;

namespace BlockLayer.Tests.Formats.Raw;

/// <summary>Random operations on a raw disk match a byte array, reopened at random.</summary>
public sealed class RawModelTests
{
    private const int Length = 200_192;

    private abstract record Step
    {
        internal sealed record Write(int At, int Length, int Writer) : Step;

        internal sealed record Zero(int At, int Length, ZeroFlags Flags) : Step;

        internal sealed record Discard(int At, int Length) : Step;

        internal sealed record Resize(int Length) : Step;

        internal sealed record Reopen : Step;
    }

    [Fact]
    public void Random_operations_match_a_byte_array()
    {
        Gen<int> at = Gen.OneOf(Gen.Choose(0, Length - 1), Gen.Select(Gen.Choose(0, Length / 4096), page => page * 4096));
        Gen<int> span = Gen.OneOf(Gen.Choose(1, 600), Gen.Choose(1, 20_000), Gen.Constant(4096));
        Gen<Step> step = Gen.Frequency(
            (6, from o in at from n in span from w in Gen.Choose(1, 200) select (Step)new Step.Write(o, n, w)),
            (3, from o in at from n in span from f in Gen.Elements(ZeroFlags.None, ZeroFlags.MayUnmap) select (Step)new Step.Zero(o, n, f)),
            (2, from o in at from n in span select (Step)new Step.Discard(o, n)),
            (1, from n in Gen.Choose(1, 2 * Length) select (Step)new Step.Resize(n)),
            (1, Gen.Constant<Step>(new Step.Reopen())));
        Arbitrary<ImmutableArray<Step>> steps = Arb.From(Gen.Select(Gen.ListOf(step), list => list.ToImmutableArray()), Shrink);

        Prop.ForAll(steps, sequence => RunAsync(sequence).GetAwaiter().GetResult())
            .Check(Config.QuickThrowOnFailure.WithMaxTest(Effort.Times(100)).WithEndSize(50).WithQuietOnSuccess(true));
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

    private static async Task RunAsync(ImmutableArray<Step> steps)
    {
        var options = new DiskOptions { Environment = TestEnvironment.Inline(), Format = "raw" };
        byte[] model = new byte[Length];
        Disk disk = await Disk.CreateAsync("/disk", new NewImage { Format = "raw", Length = Length }, options);
        foreach (Step step in steps)
        {
            switch (step)
            {
                case Step.Write(int at, int length, int writer) when Clip(at, length, model) is var part:
                    Pattern.Fill(model.AsSpan(part), at, writer);
                    await disk.WriteAsync(part.Start.Value, model.AsMemory(part));
                    break;
                case Step.Zero(int at, int length, ZeroFlags flags) when Clip(at, length, model) is var part:
                    model.AsSpan(part).Clear();
                    await disk.WriteZeroesAsync(part.Start.Value, part.End.Value - part.Start.Value, flags);
                    break;
                case Step.Discard(int at, int length) when Clip(at, length, model) is var part:
                    await disk.DiscardAsync(part.Start.Value, part.End.Value - part.Start.Value);
                    await TakeOverDiscardAsync(disk, model, part);
                    break;
                case Step.Resize(int length):
                    Array.Resize(ref model, length);
                    await disk.ResizeAsync(length, new ResizeOptions { AllowShrink = true });
                    break;
                default:
                    await disk.DisposeAsync();
                    disk = await Disk.OpenAsync("/disk", options);
                    break;
            }
        }

        byte[] found = new byte[model.Length];
        Assert.Equal(model.Length, disk.Length);
        await disk.ReadAsync(0, found);
        await disk.DisposeAsync();
        Assert.True(found.AsSpan().SequenceEqual(model), $"differs from the model at byte {found.AsSpan().CommonPrefixLength(model)}");
    }

    private static Range Clip(int at, int length, byte[] model)
    {
        int start = Math.Min(at, model.Length);
        return start..Math.Min(start + length, model.Length);
    }

    // Afterwards every byte is what it was, or zero.
    private static async Task TakeOverDiscardAsync(Disk disk, byte[] model, Range part)
    {
        byte[] found = new byte[part.End.Value - part.Start.Value];
        await disk.ReadAsync(part.Start.Value, found);
        for (int i = 0; i < found.Length; i++)
        {
            ref byte expected = ref model[part.Start.Value + i];
            Assert.True(found[i] == 0 || found[i] == expected, $"byte {part.Start.Value + i} is neither old nor zero after a discard");
            expected = found[i];
        }
    }
}
