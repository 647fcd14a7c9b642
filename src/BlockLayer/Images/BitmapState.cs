namespace BlockLayer.Images;

/// <summary>Whether a bitmap follows the disk.</summary>
public enum BitmapState
{
    /// <summary>Writes are marked in it.</summary>
    Enabled,

    /// <summary>It stays as it is.</summary>
    Disabled,
}
