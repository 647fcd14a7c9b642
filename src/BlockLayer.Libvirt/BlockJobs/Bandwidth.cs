namespace BlockLayer.Libvirt;

/// <summary>Turns the bandwidths of calls into bytes a second and back.</summary>
/// <remarks>
/// libvirt, virDomainBlockJobSetSpeed: MiB/s unless a flag says bytes/s; 0 is no limit; more than 2^52 bytes/s may be refused, and is refused here, so that no client's
/// arithmetic overflows; what is more than 2^31 bytes/s may not fit the <c>unsigned long</c> of a client when it is read back in bytes.
/// </remarks>
internal static class Bandwidth
{
    /// <summary>The most that is accepted, in bytes/s.</summary>
    internal const long Most = 1L << 52;

    private const int MebibyteBits = 20;

    /// <summary>Bytes a second of a bandwidth that a caller gave; 0 for no limit.</summary>
    /// <exception cref="LibvirtException">Overflow.</exception>
    internal static long ToBytesPerSecond(ulong bandwidth, BandwidthUnit unit)
    {
        ulong most = (ulong)(unit == BandwidthUnit.Bytes ? Most : Most >> MebibyteBits);
        if (bandwidth > most)
        {
            string name = unit == BandwidthUnit.Bytes ? "bytes/s" : "MiB/s";
            throw LibvirtException.Refused(LibvirtErrorCode.Overflow, $"bandwidth is {bandwidth} {name}; allowed are at most {most}.");
        }

        return (long)(unit == BandwidthUnit.Bytes ? bandwidth : bandwidth << MebibyteBits);
    }

    /// <summary>A bandwidth as it is told to a caller: bytes/s, or MiB/s rounded up, so that a slow job never looks unlimited.</summary>
    /// <param name="bytesPerSecond">What the job has; 0 for no limit.</param>
    /// <param name="unit">What the caller asked for.</param>
    /// <param name="client">How wide an <c>unsigned long</c> the caller has.</param>
    /// <exception cref="LibvirtException">Overflow: the caller's number does not hold it.</exception>
    internal static ulong ToClient(long bytesPerSecond, BandwidthUnit unit, ClientLong client)
    {
        bool isBytes = unit == BandwidthUnit.Bytes;
        ulong told = isBytes ? (ulong)bytesPerSecond : ((ulong)bytesPerSecond + ((1UL << MebibyteBits) - 1)) >> MebibyteBits;
        return client == ClientLong.Bits32 && told > uint.MaxValue
            ? throw LibvirtException.Refused(
                LibvirtErrorCode.Overflow,
                isBytes ? $"bandwidth is {told} bytes/s, which 32 bits do not hold; ask for it in MiB/s." : $"bandwidth is {told} MiB/s, which 32 bits do not hold.")
            : told;
    }
}
