using BlockLayer.Primitives;

namespace BlockLayer.Requests;

/// <summary>What a claim gave for a run of units.</summary>
/// <param name="Range">The units.</param>
/// <param name="Copy">The copy whose bytes to use; null where the units are to be read through.</param>
/// <param name="IsMine">True when the asker has to fetch and store the copy; false when somebody else is at it.</param>
internal readonly record struct CopyShare(ByteRange Range, RangeCopy? Copy, bool IsMine);
