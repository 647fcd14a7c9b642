namespace BlockLayer.Cli.Terminal;

/// <summary>How progress is shown.</summary>
internal enum ProgressStyle
{
    /// <summary>Not at all.</summary>
    None,

    /// <summary>A bar that is redrawn in place.</summary>
    Bar,

    /// <summary>A line for every tenth, for logs.</summary>
    Lines,
}
