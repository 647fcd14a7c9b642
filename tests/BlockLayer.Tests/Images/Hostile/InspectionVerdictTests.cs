using System.Buffers.Binary;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.TestKit.Hostile;
using Xunit;

namespace BlockLayer.Tests.Images.Hostile;

/// <summary>
/// What an inspection says of damaged and malicious headers, beside what an open says, and the price of both in calls, bytes and memory. The numbers are the lines of the
/// corpus, of which these are a choice: all of them are held by the tests that <see cref="CorpusIndexTests"/> names.
/// </summary>
public sealed class InspectionVerdictTests
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
        // 14: refcount table, and entries, which are local damage: the image opens to be read
        Entry("2.14 refcount block unaligned", "refcount table entry", 0x1200),
        Entry("2.14 refcount block past the end", "refcount table entry", 1 << 30),
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
