using System.Numerics;

namespace BlockLayer.Libvirt;

/// <summary>The typed parameters of BlockCopy. 0 stands for the default, as leaving a parameter out does.</summary>
public sealed record CopyParameters
{
    /// <summary>The finest granularity that jobs have, in bytes; what is finer is taken as this.</summary>
    internal const int FinestGranularity = 4 * 1024;

    /// <summary><c>bandwidth</c> in bytes a second, unlike everywhere else in libvirt; 0 is no limit.</summary>
    public ulong Bandwidth { get; init; }

    /// <summary><c>granularity</c>: bytes that are copied again when one of them changes; a power of two from 512 to 64 MiB. Less than 4 KiB is taken as 4 KiB.</summary>
    public uint Granularity { get; init; }

    /// <summary><c>buf-size</c>: bytes that may be on their way at one time. Any is taken, as a wish: a job here keeps no such buffer, and bounds what is on its way by itself.</summary>
    public ulong BufferSize { get; init; }

    /// <summary>Reads the parameters as callers of the C function give them.</summary>
    /// <exception cref="LibvirtException">ArgumentUnsupported: a name is unknown; InvalidArg: one is given twice, or a value is not of its type.</exception>
    public static CopyParameters FromNamed(IEnumerable<KeyValuePair<string, ulong>> parameters)
    {
        var found = new CopyParameters();
        var names = new SortedSet<string>(StringComparer.Ordinal);
        foreach ((string name, ulong value) in parameters)
        {
            if (!names.Add(name))
            {
                throw LibvirtException.InvalidArg($"The parameter '{name}' is given twice.");
            }

            found = name switch
            {
                "bandwidth" => found with { Bandwidth = value },
                "granularity" when value <= uint.MaxValue => found with { Granularity = (uint)value },
                "granularity" => throw LibvirtException.InvalidArg($"granularity is {value}; allowed are powers of two from 512 to 67108864."),
                "buf-size" => found with { BufferSize = value },
                _ => throw new LibvirtException(
                    LibvirtErrorCode.ArgumentUnsupported, LibvirtErrorDomain.Domain, $"BlockCopy has no parameter '{name}'; it has bandwidth, granularity and buf-size."),
            };
        }

        return found;
    }

    /// <summary>Makes sure that the values can be used.</summary>
    /// <exception cref="LibvirtException">InvalidArg, Overflow.</exception>
    internal void Check()
    {
        Libvirt.Bandwidth.ToBytesPerSecond(Bandwidth, BandwidthUnit.Bytes);
        if (Granularity != 0 && (!BitOperations.IsPow2(Granularity) || Granularity is < 512 or > 64 << 20))
        {
            throw LibvirtException.InvalidArg($"granularity is {Granularity}; allowed are powers of two from 512 to 67108864.");
        }

        if (BufferSize > long.MaxValue)
        {
            throw LibvirtException.Refused(LibvirtErrorCode.Overflow, $"buf-size is {BufferSize}; allowed are at most {long.MaxValue}.");
        }
    }
}
