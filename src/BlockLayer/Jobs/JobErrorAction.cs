namespace BlockLayer.Jobs;

/// <summary>What a job did about an error.</summary>
public enum JobErrorAction
{
    /// <summary>It fails.</summary>
    Report,

    /// <summary>It goes on, and fails at the end.</summary>
    Ignore,

    /// <summary>It is paused.</summary>
    Stop,
}
