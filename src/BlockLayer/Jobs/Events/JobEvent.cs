namespace BlockLayer.Jobs;

/// <summary>
/// Something that happened to a job, told in order. A <see cref="JobEnded"/> comes once, before the job is <see cref="JobState.Concluded"/>; a
/// <see cref="JobStateChanged"/> to <see cref="JobState.Null"/> is the last.
/// </summary>
public abstract record JobEvent;
