namespace BlockLayer.Interop.Tests.Jobs;

/// <summary>A job that both sides are asked to start, in QMP's words. Images are named as <see cref="JobImages"/> names them.</summary>
/// <param name="Kind">One of <see cref="Kinds"/>.</param>
internal sealed record JobRequest(string Kind)
{
    internal const string Stream = "stream";
    internal const string Commit = "commit";
    internal const string ActiveCommit = "active commit";
    internal const string Mirror = "mirror";
    internal const string Backup = "backup";

    /// <summary>Every kind. QMP starts both commits by one command.</summary>
    internal static string[] Kinds { get; } = [Stream, Commit, ActiveCommit, Mirror, Backup];

    internal string Id { get; init; } = "job";

    /// <summary>The disk, or the image of its chain that is filled.</summary>
    internal string Device { get; init; } = "active";

    internal string? Top { get; init; }

    internal string? Base { get; init; }

    /// <summary>The base by its file's name.</summary>
    internal string? BaseName { get; init; }

    internal string? Bottom { get; init; }

    internal string? BackingFile { get; init; }

    internal string? Target { get; init; }

    internal string? Sync { get; init; }

    internal string? Bitmap { get; init; }

    internal int? Granularity { get; init; }

    internal string? CopyMode { get; init; }

    internal long Speed { get; init; }

    /// <summary>For reading and, where the kind makes no difference, for writing.</summary>
    internal string OnError { get; init; } = "report";

    internal bool AutoFinalize { get; init; } = true;

    internal bool AutoDismiss { get; init; } = true;

    /// <summary>True for the kinds that become ready and are then told to complete.</summary>
    internal bool BecomesReady => Kind is ActiveCommit or Mirror;

    /// <summary>The images that show what a job of this kind has done.</summary>
    internal string[] Results => Target is null ? ["active", "middle", "base"] : ["active", Target];

    /// <summary>A job of a kind that does something on the images as they are made.</summary>
    internal static JobRequest Of(string kind) => kind switch
    {
        Stream => new JobRequest(kind) { Base = "base" },
        Commit => new JobRequest(kind) { Top = "middle", Base = "base" },
        ActiveCommit => new JobRequest(kind) { Base = "base" },
        _ => new JobRequest(kind) { Target = "target", Sync = "full" },
    };
}
