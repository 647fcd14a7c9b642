namespace BlockLayer.Requests;

/// <summary>What a guest write does about a copy of the same unit whose store has not begun. One whose store has begun is always waited for.</summary>
public enum CopyConflict
{
    /// <summary>The copy is dropped for that unit and the guest goes on at once.</summary>
    CancelCopy,

    /// <summary>The guest waits until the unit is stored.</summary>
    WaitForCopy,
}
