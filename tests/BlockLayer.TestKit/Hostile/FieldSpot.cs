namespace BlockLayer.TestKit.Hostile;

/// <summary>A number in an image that means something.</summary>
/// <param name="Offset">Byte position.</param>
/// <param name="Width">Bytes: 1, 2, 4 or 8.</param>
/// <param name="Name">What it is.</param>
internal readonly record struct FieldSpot(int Offset, int Width, string Name);
