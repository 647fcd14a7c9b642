using BlockLayer.Primitives;

namespace BlockLayer.Requests;

/// <summary>A part of the disk that lacks its copy: whole allocation units of the destination, except at the end of the disk.</summary>
/// <param name="Range">Where.</param>
/// <param name="IsZero">True when the source is known to read as zeroes, so that nothing has to be fetched.</param>
internal readonly record struct CopyExtent(ByteRange Range, bool IsZero);
