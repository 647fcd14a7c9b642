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

    private static readonly string[] s_qcow2Geometries =
    [
        "cluster_size=2k",
        "cluster_size=512,refcount_bits=1",
        "cluster_size=4k,compat=0.10",
        "cluster_size=16k,lazy_refcounts=on",
        "cluster_size=64k,refcount_bits=64",
    ];

    private static readonly string[] s_qedGeometries = ["cluster_size=4k,table_size=2", "cluster_size=32k,table_size=4", "cluster_size=64k,table_size=2"];

    /// <summary>How guests and copies make way for each other.</summary>
    internal CopyStrategy Strategy { get; init; } = CopyStrategy.Cancel;

    /// <summary>Guests at the same time.</summary>
    internal int GuestCount { get; init; } = 2;

    /// <summary>Requests of each guest.</summary>
    internal int RequestsPerGuest { get; init; } = 8;

    /// <summary>Whether a first run is cancelled somewhere on its way and the pull run again.</summary>
    internal bool IsCancelledFirst { get; init; }

    /// <summary>Which of the geometries current has; any number will do. The first has small clusters, so that a small disk has many.</summary>
    internal int Geometry { get; init; }

    /// <summary>Create options of current.</summary>
    internal IReadOnlyDictionary<string, string> CurrentOptions
    {
        get
        {
            string[] geometries = Format == "qed" ? s_qedGeometries : s_qcow2Geometries;
            return ParseOptions(geometries[Geometry % geometries.Length]);
        }
    }

    /// <summary>Create options of the intermediate image.</summary>
    internal IReadOnlyDictionary<string, string> IntermediateOptions => ParseOptions(Format == "qed" ? "cluster_size=8k,table_size=2" : "cluster_size=4k");

    /// <summary>The chain as it was made, newest first.</summary>
    internal IReadOnlyList<string> ChainBefore => HasIntermediate ? [Current, Intermediate, Template] : [Current, Template];

    /// <summary>The chain when the pull is complete.</summary>
    internal IReadOnlyList<string> ChainAfter => StopsAtTemplate ? [Current, Template] : [Current];

    public override string ToString()
        => $"{Format}, {ChainBefore.Count} images, {(StopsAtTemplate ? "to the template" : "whole")}, {GuestCount} guests";

    private static Dictionary<string, string> ParseOptions(string options)
        => options.Split(',').Select(static option => option.Split('=')).ToDictionary(static pair => pair[0], static pair => pair[1]);
}
