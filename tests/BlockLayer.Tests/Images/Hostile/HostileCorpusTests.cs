using System.Buffers.Binary;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.TestKit.Hostile;
using Xunit;

namespace BlockLayer.Tests.Images.Hostile;

/// <summary>
/// Damaged and malicious headers, one named case each: the verdict of an inspection, what an open says, and the price of it all in calls, bytes and memory. The
/// numbers in front are the lines of the corpus: its lists for qcow2 (2), QED (3) and add-cow (4), of which these are a choice. Lines 1 to 12 of qcow2 are held in
/// full by <see cref="Qcow2CorpusTests"/> and <see cref="Qcow2LinkCorpusTests"/>.
/// </summary>
public sealed class HostileCorpusTests
{
    private const long MemoryShare = 4 << 20;
    private const InspectionVerdict Safe = InspectionVerdict.Safe;
    private const InspectionVerdict Refers = InspectionVerdict.ReferencesOtherFiles;
    private const InspectionVerdict Damaged = InspectionVerdict.Damaged;
    private const InspectionVerdict Unsupported = InspectionVerdict.Unsupported;
    private const BlockErrorKind Opens = (BlockErrorKind)(-1);

    private static readonly SeedImage s_sound = Qcow2Seeds.Get("version 3, 8-bit refcounts, compressed by zlib");

    private static readonly Case[] s_cases =
    [
        // 1: magic, version, header length
        Qcow2("2.1 version 0", 4, 4, 0, Unsupported, BlockErrorKind.InvalidFormat, inspectAs: null),
        Qcow2("2.1 version 1", 4, 4, 1, Unsupported, BlockErrorKind.Unsupported, inspectAs: null),
        Qcow2("2.1 version 4", 4, 4, 4, Damaged, BlockErrorKind.InvalidFormat),
        Qcow2("2.1 version 255", 4, 4, 255, Damaged, BlockErrorKind.InvalidFormat),
        Qcow2("2.1 header_length 96", 100, 4, 96, Damaged, BlockErrorKind.InvalidFormat),
        Qcow2("2.1 header_length longer than a cluster", 100, 4, 2048, Damaged, BlockErrorKind.InvalidFormat),
        Qcow2("2.1 header_length no multiple of 8", 100, 4, 108, Damaged, BlockErrorKind.InvalidFormat),

        // 2: cluster_bits
        Qcow2("2.2 cluster_bits 8", 20, 4, 8, Damaged, BlockErrorKind.InvalidFormat),
        Qcow2("2.2 cluster_bits 22", 20, 4, 22, Damaged, BlockErrorKind.InvalidFormat),
        Qcow2("2.2 cluster_bits 63", 20, 4, 63, Damaged, BlockErrorKind.InvalidFormat),
        Qcow2("2.2 cluster_bits 64", 20, 4, 64, Damaged, BlockErrorKind.InvalidFormat),
        Qcow2("2.2 cluster_bits 255", 20, 4, 255, Damaged, BlockErrorKind.InvalidFormat),

        // 3 and 4: refcount_order, unknown features
        Qcow2("2.3 refcount_order 7", 96, 4, 7, Damaged, BlockErrorKind.InvalidFormat),
        Qcow2("2.3 refcount_order 2^32-1", 96, 4, uint.MaxValue, Damaged, BlockErrorKind.InvalidFormat),
        Qcow2("2.4 incompatible bit 63", 72, 8, 1UL << 63, Unsupported, BlockErrorKind.Unsupported),
        Qcow2("2.4 incompatible bit 5", 72, 8, 1UL << 5, Unsupported, BlockErrorKind.Unsupported),

        // 5 and 6: extensions, backing name
        Qcow2("2.5 extension of 2^32-1 bytes", 112, 8, 0x6803_f857_ffff_ffff, Damaged, BlockErrorKind.InvalidFormat),
        Qcow2("2.6 backing name inside the header", 8, 8, 50, Damaged, BlockErrorKind.InvalidFormat),
        Qcow2("2.6 backing name past the cluster", 8, 8, 1 << 20, Damaged, BlockErrorKind.InvalidFormat),

        // 7: names; the format is not recorded, and nothing is opened whatever they say
        Named("2.7 absolute", "/etc/passwd"),
        Named("2.7 upwards", "../../etc/passwd"),
        Named("2.7 device", "/dev/sda"),
        Named("2.7 open descriptor", "/proc/self/fd/0"),
        Named("2.7 json", "json:{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}"),
        Named("2.7 nbd", "nbd://host/export"),
        Named("2.7 file protocol", "file:base"),
        Named("2.7 drive letter", "c:\\base"),
        Named("2.7 itself", "image"),
        Named("2.7 missing", "missing"),

        // 8: data file
        Qcow2("2.8 data file without a name", 72, 8, 1 << 2, Refers, BlockErrorKind.InvalidFormat),

        // 9: L1
        Qcow2("2.9 L1 of no entries", 36, 4, 0, Damaged, BlockErrorKind.InvalidFormat),
        Qcow2("2.9 L1 of 2^32-1 entries", 36, 4, uint.MaxValue, Damaged, BlockErrorKind.InvalidFormat),
        Qcow2("2.9 L1 longer than the file", 36, 4, 1 << 20, Damaged, BlockErrorKind.Corrupt),
        Qcow2("2.9 L1 unaligned", 40, 8, 12345, Damaged, BlockErrorKind.InvalidFormat),
        Qcow2("2.9 L1 past the end", 40, 8, 1 << 30, Damaged, BlockErrorKind.Corrupt),
        Qcow2("2.9 L1 near 2^63", 40, 8, long.MaxValue & ~1023, Damaged, BlockErrorKind.Corrupt),
        Qcow2("2.9 L1 in the header", 40, 8, 0, Damaged, BlockErrorKind.Corrupt),

        // 10 and 14: entries are local damage; the image opens to be read
        Entry("2.10 L2 table unaligned", "L1 table entry", 1UL << 63 | 0x1200),
        Entry("2.10 L2 table past the end", "L1 table entry", 1UL << 63 | 1 << 30),
        Entry("2.10 L2 table above 2^55", "L1 table entry", 1UL << 55),
        Entry("2.10 reserved bits", "L1 table entry", ulong.MaxValue),
        Entry("2.14 refcount block unaligned", "refcount table entry", 0x1200),
        Entry("2.14 refcount block past the end", "refcount table entry", 1 << 30),

        // 14: refcount table
        Qcow2("2.14 refcount table of no clusters", 56, 4, 0, Damaged, BlockErrorKind.InvalidFormat),
        Qcow2("2.14 refcount table over 8 MiB", 56, 4, 8193, Damaged, BlockErrorKind.InvalidFormat),
        Qcow2("2.14 refcount table unaligned", 48, 8, 1025, Damaged, BlockErrorKind.InvalidFormat),
        Qcow2("2.14 refcount table past the end", 48, 8, 1 << 30, Damaged, BlockErrorKind.Corrupt),

        // 16 to 20
        Qcow2("2.16 65537 snapshots", 60, 4, 65537, Damaged, Opens),
        Qcow2("2.16 snapshots past the end", 60, 4, 65536, Damaged, Opens),
        Qcow2("2.18 encryption method 9", 32, 4, 9, Damaged, BlockErrorKind.InvalidFormat),
        Qcow2("2.19 corrupt bit", 72, 8, 2, Damaged, Opens),
        Qcow2("2.19 dirty bit", 72, 8, 1, Safe, Opens),
        Qcow2("2.19 both bits", 72, 8, 3, Damaged, Opens),
        Qcow2("2.20 size 0", 24, 8, 0, Safe, Opens),
        Qcow2("2.20 size 1", 24, 8, 1, Safe, Opens),
        Qcow2("2.20 size 2^63-1", 24, 8, long.MaxValue, Damaged, BlockErrorKind.InvalidFormat),
        Qcow2("2.20 size 2^64-1", 24, 8, ulong.MaxValue, Damaged, BlockErrorKind.InvalidFormat),
        Qcow2("2.20 size beyond the L1 table", 24, 8, 1UL << 40, Damaged, BlockErrorKind.InvalidFormat),

        Qed("3 cluster_size 5000", 4, 4, 5000),
        Qed("3 cluster_size 2^27", 4, 4, 1 << 27),
        Qed("3 cluster_size 0", 4, 4, 0),
        Qed("3 table_size 0", 8, 4, 0),
        Qed("3 table_size 32", 8, 4, 32),
        Qed("3 header_size 0", 12, 4, 0),
        Qed("3 header_size 2^32-1", 12, 4, uint.MaxValue),
        Qed("3 unknown feature", 16, 8, 8, Unsupported, BlockErrorKind.Unsupported),
        Qed("3 NEED_CHECK", 16, 8, 2, Safe, Opens),
        Qed("3 unknown compat feature", 24, 8, 1, Safe, Opens),
        Qed("3 L1 unaligned", 40, 8, 4097),
        Qed("3 L1 past the end", 40, 8, 1 << 30, Damaged, BlockErrorKind.Corrupt),
        Qed("3 image_size no multiple of 512", 48, 8, 5001),
        Qed("3 image_size beyond the tables", 48, 8, 1UL << 62),

        AddCow("4 HEADER_SIZE 0", 40, 4, 0),
        AddCow("4 HEADER_SIZE 2^32-1", 40, 4, uint.MaxValue),
        AddCow("4 cluster_bits 11", 20, 4, 11),
        AddCow("4 cluster_bits 255", 20, 4, 255),
        AddCow("4 unknown feature", 24, 8, 1, Refers, BlockErrorKind.Unsupported),
        AddCow("4 image name nowhere", 12, 4, 0),
        AddCow("4 image format qcow2", 60, 8, 0x32776f6371, Refers, BlockErrorKind.Unsupported),
    ];

    public static TheoryData<string> Names() => [.. s_cases.Select(hostile => hostile.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_hostile_header_gets_its_verdict_and_its_answer_at_a_bounded_price(string name)
    {
        Case hostile = s_cases.Single(candidate => candidate.Name == name);
        var exercise = new ImageExercise();
        exercise.Files.Put(ImageExercise.ImagePath, hostile.Image);
        exercise.Files.Put(ImageExercise.BasePath, SeedWorld.Base);
        exercise.Files.Put(ImageExercise.DataPath, new byte[CowOverlaySeeds.Length]);
        exercise.Files.CallBudget = 2000;

        long before = GC.GetAllocatedBytesForCurrentThread();
        var inspection = exercise.Inspect(hostile.InspectAs);
        Assert.Equal([ImageExercise.ImagePath], exercise.Files.Opened);
        ExerciseReport report = exercise.Read(hostile.Format);
        long memory = GC.GetAllocatedBytesForCurrentThread() - before;

        Assert.Equal((hostile.Verdict, hostile.Open), (inspection.Verdict, report.Open?.Kind ?? Opens));
        Assert.All(inspection.Reasons, reason => Assert.NotEmpty(reason.Field));
        Assert.Equal(0, exercise.Files.BytesWritten);
        Assert.InRange(exercise.Files.BytesRead, 0, 16 * hostile.Image.Length);
        Assert.InRange(memory, 0, MemoryShare);
    }

    private static Case Qcow2(string name, int at, int width, ulong value, InspectionVerdict verdict, BlockErrorKind open, string? inspectAs = "qcow2")
        => new(name, "qcow2", inspectAs, Patch(s_sound.Bytes, at, width, value, ByteOrder.BigEndian), verdict, open);

    private static Case Named(string name, string reference)
    {
        const int At = 900;
        byte[] image = [.. s_sound.Bytes];
        byte[] bytes = System.Text.Encoding.UTF8.GetBytes(reference);
        bytes.CopyTo(image.AsSpan(At));
        BinaryPrimitives.WriteInt64BigEndian(image.AsSpan(8), At);
        BinaryPrimitives.WriteInt32BigEndian(image.AsSpan(16), bytes.Length);
        return new(name, "qcow2", "qcow2", image, Refers, BlockErrorKind.Denied);
    }

    private static Case Entry(string name, string field, ulong value)
    {
        FieldSpot spot = s_sound.Fields.First(candidate => candidate.Name == field);
        return Qcow2(name, spot.Offset, spot.Width, value, Damaged, Opens);
    }

    private static Case Qed(string name, int at, int width, ulong value, InspectionVerdict verdict = Damaged, BlockErrorKind open = BlockErrorKind.InvalidFormat)
        => new(name, "qed", "qed", Patch(QedSeeds.All[0].Bytes, at, width, value, ByteOrder.LittleEndian), verdict, open);

    private static Case AddCow(string name, int at, int width, ulong value, InspectionVerdict verdict = Damaged, BlockErrorKind open = BlockErrorKind.InvalidFormat)
        => new(name, "add-cow", "add-cow", Patch(CowOverlaySeeds.All[0].Bytes, at, width, value, ByteOrder.LittleEndian), verdict, open);

    private static byte[] Patch(byte[] sound, int at, int width, ulong value, ByteOrder order)
    {
        byte[] image = [.. sound];
        byte[] word = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(word, value);
        Span<byte> bytes = word.AsSpan(0, width);
        if (order == ByteOrder.BigEndian)
        {
            bytes.Reverse();
        }

        bytes.CopyTo(image.AsSpan(at));
        return image;
    }

    /// <param name="Name">The line of the corpus, and what is wrong.</param>
    /// <param name="Format">As what it is opened.</param>
    /// <param name="InspectAs">As what it is inspected; null to go by what it shows.</param>
    /// <param name="Image">The file.</param>
    /// <param name="Verdict">What the inspection says.</param>
    /// <param name="Open">What reading it is refused with, if it is.</param>
    private sealed record Case(string Name, string Format, string? InspectAs, byte[] Image, InspectionVerdict Verdict, BlockErrorKind Open);
}
