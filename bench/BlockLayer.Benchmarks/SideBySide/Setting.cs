namespace BlockLayer.Benchmarks.SideBySide;

/// <summary>Where and how thoroughly to measure.</summary>
/// <param name="Directory">An empty folder for images; deleted afterwards.</param>
/// <param name="Rounds">Counted pairs per row.</param>
/// <param name="Scale">Fraction of the full amount of work.</param>
internal sealed record Setting(string Directory, int Rounds, double Scale);
