namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// The L2 tables of the active L1 table and of all snapshots, each once, with how many L1 entries lead to it. A table is then looked through once and what
/// is found in it counts that many times, so that an image whose entries all lead to one table costs no more than its size.
/// </summary>
internal sealed class L2TableSet
{
    private readonly Dictionary<long, Uses> _tables = [];

    /// <summary>How many different tables there are.</summary>
    public int Count => _tables.Count;

    /// <summary>The tables in the order they lie in the file.</summary>
    public IEnumerable<(HostOffset Table, Uses Uses)> InFileOrder
        => _tables.OrderBy(static pair => pair.Key).Select(static pair => (new HostOffset(pair.Key), pair.Value));

    /// <summary>Adds what L1 entries say.</summary>
    public void Add(HostOffset table, Uses uses)
    {
        _tables.TryGetValue(table.Value, out Uses before);
        _tables[table.Value] = new Uses(before.All + uses.All, before.Active + uses.Active);
    }

    /// <summary>How many L1 entries lead to a table.</summary>
    /// <param name="All">Entries of every L1 table.</param>
    /// <param name="Active">Those of the active one.</param>
    internal readonly record struct Uses(ulong All, ulong Active);
}
