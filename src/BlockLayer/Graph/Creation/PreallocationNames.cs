namespace BlockLayer.Graph;

/// <summary>The modes of <see cref="Preallocation"/> in qemu-img's spelling.</summary>
internal static class PreallocationNames
{
    /// <summary>Reads a mode that a format takes.</summary>
    /// <exception cref="ArgumentException">Another word. The message lists those that can be.</exception>
    internal static Preallocation Parse(string value, params ReadOnlySpan<Preallocation> modes)
    {
        foreach (Preallocation mode in modes)
        {
            if (NameOf(mode) == value)
            {
                return mode;
            }
        }

        throw new ArgumentException($"preallocation is '{value}'; it can be {string.Join(" or ", modes.ToArray().Select(NameOf))}.");
    }

    /// <summary>How qemu-img writes a mode.</summary>
    internal static string NameOf(Preallocation mode) => mode switch
    {
        Preallocation.Off => "off",
        Preallocation.Metadata => "metadata",
        Preallocation.Falloc => "falloc",
        Preallocation.Full => "full",
        _ => throw new ArgumentOutOfRangeException(nameof(mode)),
    };
}
