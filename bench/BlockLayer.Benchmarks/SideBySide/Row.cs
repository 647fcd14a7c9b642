namespace BlockLayer.Benchmarks.SideBySide;

/// <summary>One line of the comparison: what was measured, both figures, their ratio and the ratio that is aimed at.</summary>
/// <param name="Work">What was done.</param>
/// <param name="Ours">Our figure, for people.</param>
/// <param name="Peer">The peer's figure, for people, with its name.</param>
/// <param name="Ratio">Our speed over the peer's: above one is faster.</param>
/// <param name="Target">The least ratio aimed at; null where the ratio is only printed.</param>
internal sealed record Row(string Work, string Ours, string Peer, double Ratio, double? Target)
{
    /// <summary>True when there is no target, or it is met.</summary>
    public bool Holds => Target is not { } least || Ratio >= least;
}
