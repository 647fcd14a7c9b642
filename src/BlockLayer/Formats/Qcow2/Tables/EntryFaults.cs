using BlockLayer.Errors;

namespace BlockLayer.Formats.Qcow2;

/// <summary>What to do about an <see cref="EntryFault"/>, and how to say it.</summary>
internal static class EntryFaults
{
    /// <summary>True when the entry must not be followed. Reserved bits alone leave a trustworthy offset.</summary>
    public static bool IsFatal(this EntryFault fault) => fault is not (EntryFault.None or EntryFault.ReservedBits);

    /// <summary>The error for a fatal fault.</summary>
    /// <param name="fault">A fault other than <see cref="EntryFault.None"/>.</param>
    /// <param name="entry">The entry's kind as the specification names it, such as "L2 table entry".</param>
    /// <param name="raw">The entry's word.</param>
    /// <param name="at">Byte position of the entry in the file.</param>
    public static ImageFormatException ToException(this EntryFault fault, string entry, ulong raw, HostOffset at)
        => ImageFormatException.Corrupt(entry, at.Value, $"{entry} 0x{raw:x16} at byte {at.Value} {Describe(fault)}.");

    /// <summary>Completes the sentence "the entry ...".</summary>
    public static string Describe(this EntryFault fault) => fault switch
    {
        EntryFault.None => "is sound",
        EntryFault.ReservedBits => "has reserved bits set",
        EntryFault.Unaligned => "points inside a cluster; a multiple of the cluster size is allowed",
        EntryFault.InHeader => "points to the header",
        EntryFault.PastEnd => "points past the end of the file",
        EntryFault.ZeroInVersion2 => "has the zero flag set, which version 2 does not have",
        EntryFault.CompressedWithDataFile => "is compressed in an image with an external data file",
        EntryFault.NotAtGuestOffset => "points to another place of the external data file than the guest offset",
        EntryFault.SubclusterConflict => "has a subcluster that is both allocated and zero",
        EntryFault.SubclusterWithoutCluster => "has an allocated subcluster but no host cluster",
        _ => throw new ArgumentOutOfRangeException(nameof(fault)),
    };
}
