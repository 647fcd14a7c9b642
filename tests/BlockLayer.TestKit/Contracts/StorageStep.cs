using BlockLayer.Storage;
using FsCheck;
using FsCheck.Fluent;

namespace BlockLayer.TestKit.Contracts;

/// <summary>One request of a random sequence against a file; valid whatever is dropped before it.</summary>
public abstract record StorageStep
{
    /// <summary>Where requests may end: a few pages and a bit.</summary>
    public const int MaxLength = 20_000;

    /// <summary>Writes bytes that <see cref="Pattern"/> makes for the seed.</summary>
    public sealed record Write(int Offset, int Length, int Seed) : StorageStep;

    /// <summary>Writes zeroes.</summary>
    public sealed record Zeroes(int Offset, int Length, ZeroMode Mode) : StorageStep;

    /// <summary>Discards.</summary>
    public sealed record Discard(int Offset, int Length) : StorageStep;

    /// <summary>Sets the length.</summary>
    public sealed record SetLength(int Length) : StorageStep;

    /// <summary>Flushes, closes and opens again.</summary>
    public sealed record Reopen : StorageStep;

    /// <summary>Sequences of them, shrunk by leaving steps out.</summary>
    public static Arbitrary<StorageStep[]> Sequences { get; } = Arb.From(Gen.ArrayOf(OneStep()), Shrink);

    private static Gen<StorageStep> OneStep()
    {
        Gen<(int Offset, int Length)> range =
            from offset in Gen.Choose(0, MaxLength - 1)
            from length in Gen.OneOf(Gen.Choose(1, 600), Gen.Choose(1, MaxLength))
            select (offset, Math.Min(length, MaxLength - offset));
        return Gen.Frequency(
            (6, from at in range from seed in Gen.Choose(1, 9) select (StorageStep)new Write(at.Offset, at.Length, seed)),
            (3, from at in range from mode in Gen.Elements(ZeroMode.MayUnmap, ZeroMode.KeepAllocated) select (StorageStep)new Zeroes(at.Offset, at.Length, mode)),
            (2, from at in range select (StorageStep)new Discard(at.Offset, at.Length)),
            (2, from length in Gen.Choose(0, MaxLength) select (StorageStep)new SetLength(length)),
            (1, Gen.Constant((StorageStep)new Reopen())));
    }

    private static IEnumerable<StorageStep[]> Shrink(StorageStep[] steps)
    {
        for (int chunk = steps.Length; chunk >= 1; chunk /= 2)
        {
            for (int at = 0; at < steps.Length; at += chunk)
            {
                yield return [.. steps[..at], .. steps[Math.Min(at + chunk, steps.Length)..]];
            }
        }
    }
}
