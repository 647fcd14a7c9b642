using BlockLayer.Requests;

namespace BlockLayer.Simulation.Tests.Crashes.Pulls;

/// <summary>The chain of one simulated pull, template (raw) &lt;- intermediate &lt;- current, and what is done with it.</summary>
/// <param name="Format">Of the images above the template.</param>
/// <param name="HasIntermediate">False: the template is current's own backing file.</param>
/// <param name="StopsAtTemplate">True: the template becomes current's backing file. False: nothing is left below current.</param>
internal sealed record PullPlan(string Format, bool HasIntermediate, bool StopsAtTemplate)
{
    internal const string Template = "/template";
    internal const string Intermediate = "/intermediate";
    internal const string Current = "/current";

    /// <summary>Bytes of the disk: several copy units, the last of them short.</summary>
    internal const int Length = (160 * 1024) + 512;

    /// <summary>How guests and copies make way for each other.</summary>
    internal CopyStrategy Strategy { get; init; } = CopyStrategy.Cancel;

    /// <summary>Guests at the same time.</summary>
    internal int GuestCount { get; init; } = 2;

    /// <summary>Requests of each guest.</summary>
    internal int RequestsPerGuest { get; init; } = 8;

    /// <summary>Whether a first run is cancelled somewhere on its way and the pull run again.</summary>
    internal bool IsCancelledFirst { get; init; }

    /// <summary>Create options of current: small clusters, so that a small disk has several tables' worth of them.</summary>
    internal IReadOnlyDictionary<string, string> CurrentOptions => Format == "qed"
        ? new Dictionary<string, string> { ["cluster_size"] = "4k", ["table_size"] = "2" }
        : new Dictionary<string, string> { ["cluster_size"] = "2k" };

    /// <summary>Create options of the intermediate image.</summary>
    internal IReadOnlyDictionary<string, string> IntermediateOptions => Format == "qed"
        ? new Dictionary<string, string> { ["cluster_size"] = "8k", ["table_size"] = "2" }
        : new Dictionary<string, string> { ["cluster_size"] = "4k" };

    /// <summary>The chain as it was made, newest first.</summary>
    internal IReadOnlyList<string> ChainBefore => HasIntermediate ? [Current, Intermediate, Template] : [Current, Template];

    /// <summary>The chain when the pull is complete.</summary>
    internal IReadOnlyList<string> ChainAfter => StopsAtTemplate ? [Current, Template] : [Current];

    public override string ToString()
        => $"{Format}, {ChainBefore.Count} images, {(StopsAtTemplate ? "to the template" : "whole")}, {GuestCount} guests{(IsCancelledFirst ? ", cancelled first" : "")}";
}
