using System.Globalization;
using BlockLayer.Errors;
using BlockLayer.Primitives;

namespace BlockLayer.Filters;

/// <summary>Rules of fault injection as text.</summary>
internal static class NodeFaultText
{
    private const string Words = "range=OFFSET+LENGTH, state=N, first=N, every=N, count=N, once, latency=N[ms|s], keep=SECTORS, error=KIND and next-state=N";

    private static readonly (string Name, NodeOperations Operation)[] s_operations =
    [
        .. Enum.GetValues<NodeOperations>().Where(static value => value != NodeOperations.None).Select(static value => (value.ToString().ToLowerInvariant(), value)),
    ];

    internal static NodeFault Parse(string text)
    {
        string[] words = text.Split(',', StringSplitOptions.TrimEntries);
        var fault = new NodeFault { Operations = ParseOperations(words[0]) };
        foreach (string word in words.Skip(1))
        {
            int equals = word.IndexOf('=', StringComparison.Ordinal);
            string value = equals < 0 ? "" : word[(equals + 1)..];
            fault = (equals < 0 ? word : word[..equals]) switch
            {
                "once" when equals < 0 => fault with { Count = 1 },
                "range" => fault with { Range = ParseRange(word, value) },
                "state" => fault with { State = ParseNumber(word, value) },
                "first" => fault with { First = ParseNumber(word, value) },
                "every" => fault with { Every = ParseNumber(word, value) },
                "count" => fault with { Count = ParseNumber(word, value) },
                "latency" => fault with { Latency = ParseTime(word, value) },
                "keep" => fault with { KeepSectors = ParseNumber(word, value) },
                "error" => fault with { Error = ParseKind(word, value) },
                "next-state" => fault with { NextState = ParseNumber(word, value) },
                _ => throw new ArgumentException($"'{word}' means nothing in a fault; known are {Words}.", nameof(text)),
            };
        }

        fault.Validate();
        return fault;
    }

    internal static string Format(NodeFault fault)
    {
        var words = new List<string> { FormatOperations(fault.Operations) };
        Add(fault.Range is not null, $"range={fault.Range?.Offset}+{fault.Range?.Length}");
        Add(fault.State is not null, $"state={fault.State}");
        Add(fault.First != 1, $"first={fault.First}");
        Add(fault.Every != 1, $"every={fault.Every}");
        Add(fault.Count != int.MaxValue, fault.Count == 1 ? "once" : $"count={fault.Count}");
        Add(fault.Latency != TimeSpan.Zero, string.Create(CultureInfo.InvariantCulture, $"latency={fault.Latency.TotalMilliseconds}ms"));
        Add(fault.KeepSectors is not null, $"keep={fault.KeepSectors}");
        Add(fault.Error is not null, $"error={fault.Error?.ToString().ToLowerInvariant()}");
        Add(fault.NextState is not null, $"next-state={fault.NextState}");
        return string.Join(',', words);

        void Add(bool present, string word)
        {
            if (present)
            {
                words.Add(word);
            }
        }
    }

    private static NodeOperations ParseOperations(string text)
    {
        NodeOperations operations = NodeOperations.None;
        foreach (string name in text.Split('+', StringSplitOptions.TrimEntries))
        {
            int found = Array.FindIndex(s_operations, known => known.Name.Equals(name, StringComparison.OrdinalIgnoreCase));
            operations |= found >= 0
                ? s_operations[found].Operation
                : throw new ArgumentException($"'{name}' is no operation; known are {string.Join(", ", s_operations.Select(known => known.Name))}, joined by '+'.", nameof(text));
        }

        return operations;
    }

    private static string FormatOperations(NodeOperations operations)
        => operations == NodeOperations.All
            ? "all"
            : string.Join('+', s_operations.Where(known => known.Operation != NodeOperations.All && (operations & known.Operation) != 0).Select(known => known.Name));

    private static int ParseNumber(string word, string value)
        => int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : throw NotA(word, "a whole number");

    private static ByteRange ParseRange(string word, string value)
    {
        string[] parts = value.Split('+');
        return parts.Length == 2 && ByteSize.TryParse(parts[0], out long offset) && ByteSize.TryParse(parts[1], out long length) && length <= long.MaxValue - offset
            ? new ByteRange(offset, length)
            : throw NotA(word, "an offset and a length, such as 1M+64K");
    }

    private static TimeSpan ParseTime(string word, string value)
    {
        bool milliseconds = value.EndsWith("ms", StringComparison.Ordinal);
        string number = value.TrimEnd('m', 's');
        bool isNumber = double.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double time);
        return isNumber && (milliseconds || value == $"{number}s") && time < int.MaxValue
            ? TimeSpan.FromMilliseconds(milliseconds ? time : time * 1000)
            : throw NotA(word, "a time, such as 250ms or 5s");
    }

    private static BlockErrorKind ParseKind(string word, string value)
        => Array.Find(Enum.GetNames<BlockErrorKind>(), name => name.Equals(value, StringComparison.OrdinalIgnoreCase)) is { } known
            ? Enum.Parse<BlockErrorKind>(known)
            : throw NotA(word, $"one of {string.Join(", ", Enum.GetNames<BlockErrorKind>().Select(static name => name.ToLowerInvariant()))}");

    private static ArgumentException NotA(string word, string expected) => new($"'{word}' does not hold {expected}.");
}
