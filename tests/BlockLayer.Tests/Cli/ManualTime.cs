namespace BlockLayer.Tests.Cli;

/// <summary>A clock that a test moves on by hand.</summary>
internal sealed class ManualTime : TimeProvider
{
    private long _now;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => _now;

    internal void Advance(TimeSpan by) => _now += by.Ticks;
}
