using BlockLayer.Primitives;

namespace BlockLayer.Requests;

/// <summary>
/// The choices of a write queue that are matters of speed: it may order, widen or drop copies. It cannot skip the claims, the format's own check before
/// a store, or the verification before a job completes, so no strategy can lose data.
/// </summary>
/// <remarks>Members are called with the queue's lock held, from any thread: answer from memory, and soon.</remarks>
public abstract class CopyStrategy
{
    /// <summary>A guest write drops copies that have not begun their store; readers are answered before the store.</summary>
    public static CopyStrategy Cancel { get; } = new Fixed("cancel", CopyConflict.CancelCopy, CopyReply.BeforeStore);

    /// <summary>A guest write waits for copies; readers are answered before the store.</summary>
    public static CopyStrategy Wait { get; } = new Fixed("wait", CopyConflict.WaitForCopy, CopyReply.BeforeStore);

    /// <summary>As <see cref="Cancel"/>, but readers are answered after the store.</summary>
    public static CopyStrategy CancelStoreFirst { get; } = new Fixed("cancel-store-first", CopyConflict.CancelCopy, CopyReply.AfterStore);

    /// <summary>As <see cref="Wait"/>, but readers are answered after the store.</summary>
    public static CopyStrategy WaitStoreFirst { get; } = new Fixed("wait-store-first", CopyConflict.WaitForCopy, CopyReply.AfterStore);

    /// <summary>The built-in strategies.</summary>
    public static IReadOnlyList<CopyStrategy> All { get; } = [Cancel, Wait, CancelStoreFirst, WaitStoreFirst];

    /// <summary>What reports call it.</summary>
    public abstract string Name { get; }

    /// <summary>When readers are answered.</summary>
    public virtual CopyReply Reply => CopyReply.BeforeStore;

    /// <summary>What a guest write does about a copy of <paramref name="unit"/> that has not begun its store.</summary>
    public abstract CopyConflict OnGuestWrite(ByteRange unit);

    /// <summary>Whether a guest's read of <paramref name="unit"/> is worth a copy. A unit that is refused is read through.</summary>
    public virtual bool CopiesOnRead(ByteRange unit) => true;

    /// <summary>How much to copy for a guest's read: at least <paramref name="units"/>, whole units; what exceeds the piece limit or the disk is cut off.</summary>
    public virtual ByteRange Widen(ByteRange units) => units;

    /// <inheritdoc/>
    public override string ToString() => Name;

    private sealed class Fixed(string name, CopyConflict conflict, CopyReply reply) : CopyStrategy
    {
        public override string Name => name;

        public override CopyReply Reply => reply;

        public override CopyConflict OnGuestWrite(ByteRange unit) => conflict;
    }
}
