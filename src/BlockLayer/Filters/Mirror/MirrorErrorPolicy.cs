namespace BlockLayer.Filters;

/// <summary>What a mirror does when its destination fails. A failing source always fails the request.</summary>
public enum MirrorErrorPolicy
{
    /// <summary>The request fails; the mirror goes on.</summary>
    Fail,

    /// <summary>The request succeeds; the destination is left alone from now on, and what it lacks is remembered until <see cref="MirrorNode.RepairAsync"/>.</summary>
    Detach,

    /// <summary>The request fails, and so does every later change and flush, until the mirror is opened again. Reads are answered by the source.</summary>
    Stop,
}
