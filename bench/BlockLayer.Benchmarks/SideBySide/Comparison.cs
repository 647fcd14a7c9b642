using System.Globalization;

namespace BlockLayer.Benchmarks.SideBySide;

/// <summary>The comparison with qemu-utils: runs the groups that were asked for and prints one table.</summary>
internal static class Comparison
{
    /// <summary>Runs it.</summary>
    /// <param name="args"><c>--quick</c>, <c>--only TEXT</c>, <c>--dir FOLDER</c> (where images are made; several gigabytes).</param>
    /// <returns>0 when every row was measured, whether it meets its target or not; a miss is printed as a miss.</returns>
    internal static async Task<int> RunAsync(string[] args)
    {
        bool quick = args.Contains("--quick");
        string? only = After(args, "--only");
        string directory = Directory.CreateTempSubdirectory("blocklayer-bench-").FullName;
        if (After(args, "--dir") is { } wanted)
        {
            directory = Directory.CreateDirectory(Path.Combine(wanted, Path.GetFileName(directory))).FullName;
        }

        try
        {
            var setting = new Setting(directory, quick ? 3 : 5, quick ? 0.1 : 1.0);
            (string version, _) = await Tool.RunAsync("qemu-img", "--version");
            var rows = new List<Row>();
            foreach ((string name, Func<Setting, IAsyncEnumerable<Row>> group) in s_groups)
            {
                if (only is not null && !name.Contains(only, StringComparison.OrdinalIgnoreCase))
                {
                    continue;
                }

                await foreach (Row row in group(setting))
                {
                    Console.Error.WriteLine(Format(row));
                    rows.Add(row);
                }
            }

            Print(rows, version.Split('\n')[0]);
            return 0;
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static readonly (string Name, Func<Setting, IAsyncEnumerable<Row>> Group)[] s_groups =
    [
        ("requests", RequestRows.MeasureAsync),
        ("subclusters", SubclusterRows.MeasureAsync),
        ("convert", ConvertRows.MeasureAsync),
        ("pull", PullRows.MeasureAsync),
        ("chain", ChainRows.MeasureAsync),
        ("jobs", JobRows.MeasureAsync),
        ("simulation", SimulationRows.MeasureAsync),
        ("compressed", CompressedRows.MeasureAsync),
        ("metadata", MetadataRows.MeasureAsync),
    ];

    private static string? After(string[] args, string option)
    {
        int at = Array.IndexOf(args, option);
        return at >= 0 && at + 1 < args.Length ? args[at + 1] : null;
    }

    private static void Print(List<Row> rows, string peer)
    {
        Console.WriteLine($"{DateTime.UtcNow:yyyy-MM-dd}, {Environment.ProcessorCount} processors, {peer}");
        Console.WriteLine();
        Console.WriteLine("| work | BlockLayer | peer | our speed / peer's | target | |");
        Console.WriteLine("|---|---|---|---|---|---|");
        foreach (Row row in rows)
        {
            Console.WriteLine(Format(row));
        }

        Console.WriteLine();
        Console.WriteLine($"{rows.Count(row => row is { Target: not null, Holds: true })} of {rows.Count(row => row.Target is not null)} rows with a target meet it.");
    }

    private static string Format(Row row)
    {
        string aim = row.Target is { } target
            ? string.Create(CultureInfo.InvariantCulture, $"{target:0.00}x | {(row.Holds ? "holds" : "MISS")}")
            : "|";
        return string.Create(CultureInfo.InvariantCulture, $"| {row.Work} | {row.Ours} | {row.Peer} | {row.Ratio:0.00}x | {aim} |");
    }
}
