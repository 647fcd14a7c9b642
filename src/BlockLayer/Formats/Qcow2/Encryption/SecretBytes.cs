namespace BlockLayer.Formats.Qcow2;

/// <summary>Arrays for keys: the garbage collector does not move them, so no copies stay behind when they are cleared.</summary>
internal static class SecretBytes
{
    /// <summary>An array of zeroes that stays where it is.</summary>
    internal static byte[] Allocate(int length) => GC.AllocateArray<byte>(length, pinned: true);

    /// <summary>A copy that stays where it is. Whoever asked for it clears it.</summary>
    internal static byte[] CopyOf(ReadOnlySpan<byte> secret)
    {
        byte[] copy = Allocate(secret.Length);
        secret.CopyTo(copy);
        return copy;
    }
}
