using System.Globalization;
using BlockLayer.Primitives;

namespace BlockLayer.Filters;

/// <summary>The limits of a throttle group. What is limited in total is not limited for reads or writes alone.</summary>
public sealed record ThrottleLimits
{
    /// <summary>Nothing is limited.</summary>
    public static ThrottleLimits None { get; } = new();

    /// <summary>Bytes of all requests; writes include zeroes and discards.</summary>
    public ThrottleLimit Bytes { get; init; } = ThrottleLimit.None;

    /// <summary>Bytes of reads.</summary>
    public ThrottleLimit ReadBytes { get; init; } = ThrottleLimit.None;

    /// <summary>Bytes of writes.</summary>
    public ThrottleLimit WriteBytes { get; init; } = ThrottleLimit.None;

    /// <summary>Number of all requests.</summary>
    public ThrottleLimit Operations { get; init; } = ThrottleLimit.None;

    /// <summary>Number of reads.</summary>
    public ThrottleLimit ReadOperations { get; init; } = ThrottleLimit.None;

    /// <summary>Number of writes.</summary>
    public ThrottleLimit WriteOperations { get; init; } = ThrottleLimit.None;

    /// <summary>A longer request counts as as many operations as times this many bytes fit into it, fractions included; 0: every request is one.</summary>
    public long OperationSize { get; init; }

    /// <summary>
    /// Reads limits in QEMU's words, comma-separated: <c>bps-total=10M,iops-read=100,iops-read-max=500,iops-read-max-length=5,iops-size=4096</c>. Each of
    /// bps and iops comes as -total, -read and -write; -max is the rate of a burst and -max-length its seconds. Numbers take the suffixes of sizes.
    /// </summary>
    /// <exception cref="ArgumentException">A word that is unknown or said twice, a value that is no number, or numbers that contradict each other.</exception>
    public static ThrottleLimits Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var values = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (string part in text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            if (equals < 0 || !ByteSize.TryParse(part.AsSpan(equals + 1), out long value))
            {
                throw new ArgumentException($"'{part}' is no limit; expected is a word and a number, such as bps-total=10M.", nameof(text));
            }

            if (!values.TryAdd(part[..equals], value))
            {
                throw new ArgumentException($"'{part[..equals]}' is said twice.", nameof(text));
            }
        }

        var limits = new ThrottleLimits
        {
            Bytes = Take("bps-total"),
            ReadBytes = Take("bps-read"),
            WriteBytes = Take("bps-write"),
            Operations = Take("iops-total"),
            ReadOperations = Take("iops-read"),
            WriteOperations = Take("iops-write"),
            OperationSize = values.Remove("iops-size", out long size) ? size : 0,
        };
        if (values.Count > 0)
        {
            throw new ArgumentException(
                $"'{values.Keys.First()}' is no limit; known are bps and iops, each with -total, -read or -write and then perhaps -max or -max-length, and iops-size.", nameof(text));
        }

        limits.Validate();
        return limits;

        ThrottleLimit Take(string name) => new()
        {
            Average = values.Remove(name, out long average) ? average : 0,
            BurstRate = values.Remove($"{name}-max", out long burst) ? burst : 0,
            BurstLength = TimeSpan.FromSeconds(values.Remove($"{name}-max-length", out long seconds) ? Math.Min(seconds, int.MaxValue) : 1),
        };
    }

    /// <summary>The text that <see cref="Parse"/> reads; empty where nothing is limited.</summary>
    public override string ToString()
    {
        var words = new List<string>();
        foreach ((string name, ThrottleLimit limit) in Named)
        {
            if (limit.IsSet)
            {
                words.Add(string.Create(CultureInfo.InvariantCulture, $"{name}={limit.Average}"));
            }

            if (limit.BurstRate > 0)
            {
                words.Add(string.Create(CultureInfo.InvariantCulture, $"{name}-max={limit.BurstRate}"));
            }

            if (limit.BurstLength > TimeSpan.FromSeconds(1))
            {
                words.Add(string.Create(CultureInfo.InvariantCulture, $"{name}-max-length={(long)limit.BurstLength.TotalSeconds}"));
            }
        }

        if (OperationSize > 0)
        {
            words.Add(string.Create(CultureInfo.InvariantCulture, $"iops-size={OperationSize}"));
        }

        return string.Join(',', words);
    }

    /// <exception cref="ArgumentException">The numbers contradict each other; the message says how.</exception>
    internal void Validate()
    {
        foreach ((string name, ThrottleLimit limit) in Named)
        {
            limit.Validate(name);
        }

        ThrowIfBoth("bps", Bytes, ReadBytes, WriteBytes);
        ThrowIfBoth("iops", Operations, ReadOperations, WriteOperations);
        if (OperationSize < 0 || (OperationSize > 0 && !Operations.IsSet && !ReadOperations.IsSet && !WriteOperations.IsSet))
        {
            throw new ArgumentException($"iops-size is {OperationSize}; expected is a number of bytes, and only with a limit of iops.");
        }
    }

    private (string Name, ThrottleLimit Limit)[] Named =>
    [
        ("bps-total", Bytes), ("bps-read", ReadBytes), ("bps-write", WriteBytes),
        ("iops-total", Operations), ("iops-read", ReadOperations), ("iops-write", WriteOperations),
    ];

    private static void ThrowIfBoth(string unit, ThrottleLimit total, ThrottleLimit reads, ThrottleLimit writes)
    {
        if (total.IsSet && (reads.IsSet || writes.IsSet))
        {
            throw new ArgumentException($"{unit}-total is set together with {unit}-read or {unit}-write; it is one or the other.");
        }
    }
}
