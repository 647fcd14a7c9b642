namespace BlockLayer.Simulation;

/// <summary>A state that a crash could leave breaks a promise. The message holds the line that names the state.</summary>
public sealed class CrashCheckException : Exception
{
    /// <summary>Makes the error for one state.</summary>
    public CrashCheckException(CrashState state, Exception cause)
        : base($"{state}{Environment.NewLine}{cause.Message}{Environment.NewLine}{state.Describe()}", cause)
        => State = state;

    /// <summary>The state.</summary>
    public CrashState State { get; }
}
