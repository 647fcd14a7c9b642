namespace BlockLayer.Formats.Qcow2;

/// <summary>What is to change about an existing image; null for what stays.</summary>
internal sealed record Qcow2AmendOptions
{
    /// <summary>Version of the format, 2 or 3.</summary>
    internal int? Version { get; init; }

    /// <summary>Width of a refcount in bits.</summary>
    internal int? RefcountBits { get; init; }

    /// <summary>Lets other programs postpone refcount updates.</summary>
    internal bool? LazyRefcounts { get; init; }

    /// <summary>Reads qemu-img's spelling.</summary>
    /// <exception cref="ArgumentException">An option that cannot be changed, or a value it does not take.</exception>
    internal static Qcow2AmendOptions Parse(IReadOnlyDictionary<string, string> options)
    {
        foreach (string name in options.Keys)
        {
            if (name is not ("compat" or "refcount_bits" or "lazy_refcounts"))
            {
                throw new ArgumentException($"'{name}' of a qcow2 image cannot be amended; compat, refcount_bits and lazy_refcounts can.");
            }
        }

        var result = new Qcow2AmendOptions();
        foreach ((string name, string value) in options)
        {
            Qcow2CreateOptions parsed = Qcow2CreateOptions.Parse(new Qcow2CreateOptions { Length = 0 }, new Dictionary<string, string> { [name] = value });
            result = name switch // the values are those that a new image takes
            {
                "compat" => result with { Version = parsed.Version },
                "refcount_bits" => result with { RefcountBits = parsed.RefcountBits },
                _ => result with { LazyRefcounts = parsed.LazyRefcounts },
            };
        }

        return result;
    }

    /// <exception cref="ArgumentException">Two values exclude each other, given what the image is.</exception>
    internal void ThrowIfContradictory(Qcow2Header header)
    {
        int version = Version ?? header.Version;
        int bits = RefcountBits ?? 1 << header.RefcountOrder;
        if (version == 2 && bits != 16)
        {
            throw new ArgumentException($"Version 2 (compat=0.10) has refcount_bits=16, and the image would have {bits}; amend both, or compat=1.1.");
        }

        if (version == 2 && LazyRefcounts == true)
        {
            throw new ArgumentException("Version 2 (compat=0.10) has no lazy_refcounts; they need compat=1.1.");
        }
    }
}
