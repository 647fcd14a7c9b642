using System.Collections.Immutable;
using BlockLayer.Errors;
using BlockLayer.Primitives;

namespace BlockLayer.Simulation;

/// <summary>Chooses calls to storage and says what happens to them. Calls that match are counted; of those, some are hit.</summary>
public sealed record FaultRule
{
    /// <summary>Which kinds of calls match.</summary>
    public required StorageOperations Operations { get; init; }

    /// <summary>Which file, by its real path (<see cref="SimulatedStorageProvider.GetRealPath"/>); for a flush of a directory, the directory. Null matches all.</summary>
    public string? Path { get; init; }

    /// <summary>Calls match that touch at least one byte of it; null matches all. Calls without a range do not match a rule that has one.</summary>
    public ByteRange? Range { get; init; }

    /// <summary>How many matching calls are let through before the first is hit.</summary>
    public long Skip { get; init; }

    /// <summary>How many calls are hit at most.</summary>
    public long Count { get; init; } = long.MaxValue;

    /// <summary>How likely a matching call after the skipped ones is hit; decided by the seed.</summary>
    public double Probability { get; init; } = 1;

    /// <summary>What happens to a call that is hit.</summary>
    public FaultEffect Effect { get; init; } = FaultEffect.Fail;

    /// <summary>The kind of the error, where the effect has one.</summary>
    public BlockErrorKind Kind { get; init; } = BlockErrorKind.Io;

    /// <summary>Extra virtual time for <see cref="FaultEffect.Slow"/>.</summary>
    public TimeSpan Delay { get; init; }

    // A rule that can hit nothing would let a test pass that has tested nothing.
    internal void Check()
    {
        if ((Operations & StorageOperations.Any) == 0)
        {
            throw new ArgumentException("The rule matches no call: Operations is None.");
        }

        if (Path is { } path && SimulatedPath.Resolve(path, ImmutableDictionary<string, string>.Empty) is var real && real != path)
        {
            throw new ArgumentException($"The rule matches no call: its path '{path}' is not a real path; '{real}' is, if no link is on the way.");
        }

        ArgumentOutOfRangeException.ThrowIfNegative(Skip);
        ArgumentOutOfRangeException.ThrowIfNegative(Count);
        ArgumentOutOfRangeException.ThrowIfLessThan(Delay, TimeSpan.Zero);
        if (!(Probability is >= 0 and <= 1))
        {
            throw new ArgumentOutOfRangeException(nameof(Probability), Probability, "Probability is from 0 to 1.");
        }
    }

    internal bool Matches(StorageCall call)
        => (Operations & call.Kind) != 0
            && (Path is null || Path == call.Path)
            && (Range is not { } range || range.Overlaps(call.Range));

    internal BlockLayerException CreateError(StorageCall call)
        => new(Kind, $"Injected fault: {call.Kind} failed.") { Path = call.Path, Offset = call.Length > 0 ? call.Offset : null };
}
