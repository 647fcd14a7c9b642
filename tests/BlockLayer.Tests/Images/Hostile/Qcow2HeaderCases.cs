using BlockLayer.Errors;
using BlockLayer.Graph;
using static BlockLayer.Tests.Images.Hostile.Qcow2Bytes;
using static BlockLayer.Tests.Images.Hostile.Qcow2CorpusCase;

namespace BlockLayer.Tests.Images.Hostile;

/// <summary>Lines 1 to 6 of the corpus of qcow2: fixed fields, features, extensions, the place of the backing file's name.</summary>
internal static class Qcow2HeaderCases
{
    private const BlockErrorKind Invalid = BlockErrorKind.InvalidFormat;
    private const InspectionVerdict Refers = InspectionVerdict.ReferencesOtherFiles;

    internal static IEnumerable<Qcow2CorpusCase> All => [.. Identity, .. Geometry, .. Features, .. Extensions, .. NamePlaces];

    private static IEnumerable<Qcow2CorpusCase> Identity =>
    [
        Reject("2.1 magic of something else", Sound.With32(0, 0x5146_49fa), Invalid, InspectionVerdict.NotAnImage),
        Reject("2.1 version 0", Sound.With32(4, 0)),
        Reject("2.1 version 1", Sound.With32(4, 1), BlockErrorKind.Unsupported, InspectionVerdict.Unsupported),
        Reject("2.1 version 4", Sound.With32(4, 4)),
        Reject("2.1 version 255", Sound.With32(4, 255)),
        Reject("2.1 file of 3 bytes", Sound[..3], Invalid, InspectionVerdict.NotAnImage),
        Reject("2.1 file shorter than 72 bytes, version 2", Version2[..71]),
        Reject("2.1 file of a header alone, version 2", Version2[..72], BlockErrorKind.Corrupt),
        Reject("2.1 file shorter than 104 bytes, version 3", Sound[..103]),
        Reject("2.1 header_length 0", Sound.With32(100, 0)),
        Reject("2.1 header_length below 104", Sound.With32(100, 96)),
        Reject("2.1 header_length beyond the cluster", Sound.With32(100, 1032)),
        Reject("2.1 header_length 2^32-8", Sound.With32(100, 0xffff_fff8)),
        Reject("2.1 header_length no multiple of 8", Sound.With32(100, 108)),
    ];

    private static IEnumerable<Qcow2CorpusCase> Geometry =>
    [
        .. new uint[] { 0, 8, 22, 63, 64, 255, uint.MaxValue }.Select(bits => Reject($"2.2 cluster_bits {bits}", Sound.With32(20, bits))),
        .. new uint[] { 7, 64, 255, uint.MaxValue }.Select(order => Reject($"2.3 refcount_order {order}", Sound.With32(96, order))),

        // Version 2 has no such field: behind its 72 bytes an extension area may be, whose end marker hides the rest.
        Odd("2.3 version 2 with 6 where version 3 has its refcount_order", Version2.With64(72, 0).With32(96, 6)),
        Odd("2.3 version 2 with 2^32-1 where version 3 has its refcount_order", Version2.With64(72, 0).With32(96, uint.MaxValue)),
    ];

    private static IEnumerable<Qcow2CorpusCase> Features =>
    [
        Unknown("2.4 unknown bit without a name table", Sound.WithExtensions(), 1UL << 5),
        Unknown("2.4 unknown bit with its name", Sound.WithExtensions(Extension(FeatureNames, Name(5, "tomorrow"))), 1UL << 5),
        Unknown("2.4 unknown bit whose name is a terminal's command", Sound.WithExtensions(Extension(FeatureNames, Name(5, "\u001b[2J\r\n"))), 1UL << 5),
        Unknown("2.4 unknown bit, name table no multiple of 48", Sound.WithExtensions(Extension(FeatureNames, Name(5, "tomorrow")[..47])), 1UL << 5),
        Odd("2.4 name table no multiple of 48, no unknown bit", Sound.WithExtensions(Extension(FeatureNames, Name(5, "tomorrow")[..47]))),
        Unknown("2.4 bit 63", Sound, 1UL << 63),
        Reject("2.4 all bits, the corrupt one among them", Sound.With64(72, ulong.MaxValue), BlockErrorKind.Unsupported),
        Odd("2.4 all compatible bits", Sound.With64(80, ulong.MaxValue)),
    ];

    private static IEnumerable<Qcow2CorpusCase> Extensions =>
    [
        Reject("2.5 length past the first cluster", Sound.WithExtensions((Qcow2Bytes.Unknown, 905, []))),
        Reject("2.5 length 2^32-1", Sound.WithExtensions((Qcow2Bytes.Unknown, uint.MaxValue, []))),
        Reject("2.5 length 2^31", Sound.WithExtensions((Qcow2Bytes.Unknown, 0x8000_0000, []))),
        Odd("2.5 no end marker, the cluster is full", Sound.WithExtensions(Extension(Qcow2Bytes.Unknown, new byte[904]))),
        Reject("2.5 no end marker, the area runs into a name", Sound.WithExtensions(Extension(Qcow2Bytes.Unknown, new byte[904])).WithName(512, 4)),
        Reject("2.5 a known type repeated", Sound.WithExtensions(Extension(BackingFormat, "raw"), Extension(BackingFormat, "qcow2"))),
        Odd("2.5 an unknown type repeated", Sound.WithExtensions(Extension(Qcow2Bytes.Unknown, "a"), Extension(Qcow2Bytes.Unknown, "b"))),
        Reject("2.5 backing format of 16 characters", Sound.WithBacking("base", "sixteen-letters!"), Invalid, InspectionVerdict.Damaged),
    ];

    private static IEnumerable<Qcow2CorpusCase> NamePlaces =>
    [
        Reject("2.6 name inside the header", Sound.WithName(50, 4)),
        Reject("2.6 name inside the extensions", Sound.WithName(120, 4)),
        Reject("2.6 name past the cluster", Sound.WithName(1 << 20, 4)),
        Reject("2.6 name across the end of the cluster", Sound.WithName(1020, 8)),
        Reject("2.6 name at 2^64-1", Sound.WithName(ulong.MaxValue, 4)),
        Reject("2.6 name of 1024 bytes", Zstd.WithName(1000, 1024)),
        Reject("2.6 name of 2^32-1 bytes", Sound.WithName(900, uint.MaxValue)),
        Odd("2.6 name of no bytes", Sound.WithName(900, 0)),
        Reject("2.6 embedded NUL", Sound.WithBacking("base\0/etc/passwd", "raw")),
        new("2.6 newline", Sound.WithBacking("ba\nse", "raw"), Refers, BlockErrorKind.NotFound),
        Reject("2.6 invalid UTF-8", Sound.WithBacking([0x62, 0xff, 0xc0, 0x80], "raw")),
    ];

    private static Qcow2CorpusCase Unknown(string name, byte[] image, ulong bits)
        => Reject(name, image.With64(72, bits), BlockErrorKind.Unsupported, InspectionVerdict.Unsupported);

    /// <summary>A table of one name for an incompatible feature.</summary>
    private static byte[] Name(byte bit, string name) => new byte[48].With8(1, bit).With(2, System.Text.Encoding.ASCII.GetBytes(name));
}
