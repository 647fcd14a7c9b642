namespace BlockLayer.Formats.CowOverlay;

/// <summary>A page of the bitmap as it is to be on disk.</summary>
/// <param name="Index">Its place, in pages.</param>
/// <param name="Bytes">A copy.</param>
internal readonly record struct BitmapPage(int Index, byte[] Bytes);
