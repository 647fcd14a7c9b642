using System.Buffers.Binary;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;
using BlockLayer.TestKit.Formats.Qcow2;
using BlockLayer.TestKit.Hostile;
using Xunit;

namespace BlockLayer.Tests.Images.Hostile;

/// <summary>
/// Lines 1 to 12 of the corpus of hostile qcow2 images, a case for each thing a line names: inspected, opened, described, mapped, read and checked, for a price
/// that follows the length of the files and nothing they claim. Where metadata could be hit, writing is refused.
/// </summary>
public sealed class Qcow2CorpusTests
{
    private const int CallsAFile = 2000;
    private const int BytesReadAByte = 16;
    private const long MemoryShare = 4 << 20;
    private const int SectorLength = 512;

    private static readonly Dictionary<string, Qcow2CorpusCase> s_cases =
        new[] { Qcow2HeaderCases.All, Qcow2ReferenceCases.All, Qcow2MappingCases.All }.SelectMany(cases => cases).ToDictionary(hostile => hostile.Name);

    public static TheoryData<string> Names() => [.. s_cases.Keys];

    public static TheoryData<string> NamesOfThoseNotWritten() => [.. s_cases.Values.Where(hostile => hostile.RefusesWrites).Select(hostile => hostile.Name)];

    [Fact]
    public void Every_line_has_cases()
        => Assert.Equal(Enumerable.Range(1, 12), s_cases.Values.Select(hostile => hostile.Number).Distinct().Order());

    [Fact]
    public void The_images_that_streams_are_damaged_in_have_streams()
        => Assert.Equal((4, 4), (new DamagedImage(Qcow2Bytes.Sound).StreamEntries.Count(), new DamagedImage(Qcow2Bytes.Zstd).StreamEntries.Count()));

    [Theory]
    [MemberData(nameof(Names))]
    public void A_hostile_image_gets_its_verdict_and_its_answers_at_a_bounded_price(string name)
    {
        Qcow2CorpusCase hostile = s_cases[name];
        ImageExercise exercise = Prepare(hostile);
        long bytes = hostile.Image.Length + SeedWorld.Base.Length + CowOverlaySeeds.Length + hostile.Others.Values.Sum(file => (long)file.Length);

        long before = GC.GetAllocatedBytesForCurrentThread();
        ImageInspection inspection = exercise.Inspect(hostile.InspectAs);
        Assert.Equal([ImageExercise.ImagePath], exercise.Files.Opened);
        exercise.Files.Opened.Clear();
        ExerciseReport report = exercise.Read("qcow2");
        long memory = GC.GetAllocatedBytesForCurrentThread() - before;

        Assert.Equal(hostile.Verdict, inspection.Verdict);
        Assert.Equal((hostile.Open, hostile.Read), (report.Open?.Kind, report.ReadAll?.Kind));
        Assert.Equal(hostile.Opened, exercise.Files.Opened);
        Assert.True(report.Info is null && report.Check is null && report.Close is null, $"{report.Info} {report.Check} {report.Close}");
        Assert.True(report.Map is null || report.Map.Kind == hostile.Read, $"{report.Map}");
        Assert.Equal(hostile.IsCorrupt, report.CheckReport?.Corruptions > 0);
        Assert.Equal(0, exercise.Files.BytesWritten);
        Assert.InRange(exercise.Files.BytesRead, 0, BytesReadAByte * bytes);
        Assert.InRange(memory, 0, MemoryShare + (BytesReadAByte * bytes));
    }

    [Theory]
    [MemberData(nameof(NamesOfThoseNotWritten))]
    public async Task Where_metadata_could_be_hit_writing_is_refused_and_the_image_marked_once(string name)
    {
        Qcow2CorpusCase hostile = s_cases[name];
        ImageExercise exercise = Prepare(hostile);
        var environment = new BlockEnvironment { Files = exercise.Files, Work = InlineWorkScheduler.Instance, Time = new FrozenTime() };
        var opener = new ImageOpener(BuiltInFormats.All, environment);
        await using (BlockNode image = await opener.OpenAsync(ImageExercise.ImagePath, new ImageOpenOptions { Format = "qcow2", Access = NodeAccess.ReadWrite }))
        {
            for (int attempt = 0; attempt < 2; attempt++)
            {
                BlockLayerException refused = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await image.WriteAsync(0, new byte[] { 1 }));
                Assert.Equal(BlockErrorKind.Corrupt, refused.Kind);
            }
        }

        byte[] after = exercise.Files.Get(ImageExercise.ImagePath).ToArray();
        bool hasCorruptBit = BinaryPrimitives.ReadInt32BigEndian(after.AsSpan(4)) >= 3;
        Assert.Equal(hostile.Image[SectorLength..], after[SectorLength..]);
        Assert.Equal(hasCorruptBit ? SectorLength : 0, exercise.Files.BytesWritten);
        Assert.Equal(hasCorruptBit ? hostile.Image.With64(72, 2)[..SectorLength] : hostile.Image[..SectorLength], after[..SectorLength]);
    }

    private static ImageExercise Prepare(Qcow2CorpusCase hostile)
    {
        var exercise = new ImageExercise();
        exercise.Files.Put(ImageExercise.ImagePath, hostile.Image);
        exercise.Files.Put(ImageExercise.BasePath, SeedWorld.Base);
        exercise.Files.Put(ImageExercise.DataPath, new byte[CowOverlaySeeds.Length]);
        foreach ((string path, byte[] content) in hostile.Others)
        {
            exercise.Files.Put(path, content);
        }

        exercise.Files.CallBudget = CallsAFile * (1 + hostile.Others.Count);
        return exercise;
    }
}
