namespace BlockLayer.Libvirt.Tests;

/// <summary>A job that does nothing and says what a test wants.</summary>
internal sealed class StubJob(BlockJobType type) : IDiskJob
{
    public BlockJobType Type
    {
        get
        {
            Asked?.Invoke();
            return type;
        }
    }

    /// <summary>Called when somebody asks what the job is.</summary>
    internal Action? Asked { get; set; }

    internal long Current { get; set; }

    internal long End { get; set; }

    internal bool IsReady { get; set; }

    internal long BytesPerSecond { get; private set; }

    public JobReading Read() => new(Type, BytesPerSecond, Current, End, IsReady);

    public void SetSpeed(long bytesPerSecond) => BytesPerSecond = bytesPerSecond;

    void IDiskJob.End(JobEnding how) => throw new NotSupportedException("nobody ends a stub");

    public ValueTask<BlockJobEvent> WaitForEndAsync(CancellationToken cancellationToken)
        => new(new BlockJobEvent(Domain: null!, Target: "", Path: null, type, BlockJobStatus.Canceled));
}
