namespace BlockLayer.Libvirt;

/// <summary>Which way a disk's data goes when its snapshot is deleted: <c>&lt;on_delete merge='...'/&gt;</c>.</summary>
public enum MergeDirection
{
    /// <summary>The newer file's data is pushed into the older one, which stays (a commit). The default, and what libvirt does.</summary>
    Backward,

    /// <summary>The older file's data is pulled into the newer one, which stays (a pull).</summary>
    Forward,
}
