namespace BlockLayer.Libvirt;

/// <summary>How wide a caller's <c>unsigned long</c> is, which libvirt's structures hold bandwidths in.</summary>
public enum ClientLong
{
    /// <summary>64 bits.</summary>
    Bits64,

    /// <summary>32 bits, as on the machines that the documentation warns of.</summary>
    Bits32,
}
