namespace BlockLayer.Cli.Demo;

/// <summary>The outcome in rows of two columns, with a third that says whether what the row promises held.</summary>
internal sealed class SummaryTable
{
    private readonly List<(string Name, string Value, bool? Held)> _rows = [];

    /// <summary>True when every row that promises something held.</summary>
    internal bool AllHeld => _rows.TrueForAll(row => row.Held != false);

    internal void Add(string name, string value) => _rows.Add((name, value, null));

    internal void AddProof(string name, string value, bool held) => _rows.Add((name, value, held));

    internal void Write(TextWriter writer)
    {
        int nameWidth = _rows.Max(row => row.Name.Length);
        int valueWidth = _rows.Max(row => row.Value.Length);
        string line = new('-', nameWidth + valueWidth + 10);
        writer.WriteLine(line);
        foreach ((string name, string value, bool? held) in _rows)
        {
            string mark = held switch
            {
                null => "",
                true => "ok",
                false => "FAILED",
            };
            writer.WriteLine($"  {name.PadRight(nameWidth)}  {value.PadRight(valueWidth)}  {mark}".TrimEnd());
        }

        writer.WriteLine(line);
    }
}
