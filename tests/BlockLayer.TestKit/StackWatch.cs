namespace BlockLayer.TestKit;

/// <summary>How far apart the stack frames were from which it was asked to look, and whether all of them were on the thread that made it.</summary>
public sealed class StackWatch
{
    private readonly int _thread = Environment.CurrentManagedThreadId;
    private long _lowest = long.MaxValue;
    private long _highest = long.MinValue;

    /// <summary>True while every look came from the thread that made the watch.</summary>
    public bool StayedOnThread { get; private set; } = true;

    /// <summary>How often it looked.</summary>
    public int Looks { get; private set; }

    /// <summary>Distance between the highest and the lowest frame seen.</summary>
    public long StackBytes => _highest - _lowest;

    /// <summary>Notes the caller's place on the stack.</summary>
    public unsafe void Look()
    {
        byte here;
        long address = (long)&here;
        _lowest = Math.Min(_lowest, address);
        _highest = Math.Max(_highest, address);
        StayedOnThread &= _thread == Environment.CurrentManagedThreadId;
        Looks++;
    }
}
