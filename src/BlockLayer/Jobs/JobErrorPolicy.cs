namespace BlockLayer.Jobs;

/// <summary>What a job does when a read or a store fails.</summary>
public enum JobErrorPolicy
{
    /// <summary>Fail at once.</summary>
    Report,

    /// <summary>Go on with what follows, and fail at the end. What could be copied is.</summary>
    Ignore,

    /// <summary>Pause; a resume tries the same place again.</summary>
    Stop,

    /// <summary><see cref="Stop"/> when there is no room left, else <see cref="Report"/>.</summary>
    StopOnNoSpace,
}
