namespace BlockLayer.Jobs;

/// <summary>Something that happened to a job, told in order. <see cref="JobConcluded"/> is the last.</summary>
public abstract record JobEvent;
