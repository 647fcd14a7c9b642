using BlockLayer.Requests;

namespace BlockLayer.Formats.Qcow2;

/// <summary>A bitmap of an open image: what the directory says about it, and what was written since its bits were stored.</summary>
/// <remarks>
/// The bits of a bitmap are the stored ones and those in <see cref="Written"/>. So the stored ones are read only when somebody asks for them, or when the
/// bitmap is stored again. Changes only while the node is drained, but for the bits in <see cref="Written"/>.
/// </remarks>
internal sealed class StoredBitmap(BitmapDirectoryEntry entry, string? obstacle)
{
    private readonly bool _wasInUse = entry.IsInUse;

    /// <summary>The entry as it is on disk.</summary>
    internal BitmapDirectoryEntry Entry { get; set; } = entry;

    /// <summary>Why the bitmap cannot be used here at all; null when it can.</summary>
    internal string? Obstacle { get; } = obstacle;

    /// <summary>True when somebody did not store the bitmap at the end, or it turned out to be damaged: nobody knows what it lacks, and it can only be removed.</summary>
    internal bool IsInconsistent => _wasInUse || IsDamaged;

    /// <summary>Set when the stored bits turn out to be unreadable.</summary>
    internal bool IsDamaged { get; set; }

    /// <summary>True when its table is one that this node wrote, and leads to nothing but what this node wrote.</summary>
    internal bool IsWrittenHere { get; set; }

    /// <summary>True when its bits mean something.</summary>
    internal bool IsUsable => Obstacle is null && !IsInconsistent;

    /// <summary>True when writes have to be marked in it.</summary>
    internal bool IsTracked => IsUsable && Entry.IsAuto;

    /// <summary>True when the flag on disk was set by this node, which has to store the bitmap before it lets go.</summary>
    internal bool IsMarked => IsUsable && Entry.IsInUse;

    /// <summary>What was written since the bits were stored; null where nothing is marked.</summary>
    internal DirtyBitmap? Written { get; set; }
}
