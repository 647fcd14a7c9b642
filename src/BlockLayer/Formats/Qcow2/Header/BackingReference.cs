namespace BlockLayer.Formats.Qcow2;

/// <summary>What a header says of its backing file.</summary>
/// <param name="Name">The name as written in the file, never empty.</param>
/// <param name="Format">The format's name, never empty: a name without its format would have to be probed.</param>
internal sealed record BackingReference(string Name, string Format);
