namespace BlockLayer.Filters;

/// <summary>What a mirror does with its destination.</summary>
public enum MirrorState
{
    /// <summary>Writes it.</summary>
    Mirroring,

    /// <summary>Leaves it alone since it failed, see <see cref="MirrorErrorPolicy.Detach"/>.</summary>
    Detached,

    /// <summary>Refuses changes since it failed, see <see cref="MirrorErrorPolicy.Stop"/>.</summary>
    Stopped,
}
