using BlockLayer.Requests;

namespace BlockLayer.Formats.Qcow2;

/// <summary>What a bitmap is to be when the directory has been replaced.</summary>
/// <param name="Source">The bitmap it is now; null for one that is added.</param>
/// <param name="Entry">Its entry; where the table lies is filled in if <paramref name="Content"/> is written.</param>
/// <param name="Content">Its bits; null to keep the stored table.</param>
internal sealed record BitmapDraft(StoredBitmap? Source, BitmapDirectoryEntry Entry, DirtyBitmap? Content);
