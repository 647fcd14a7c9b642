using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit.Hostile;
using Xunit;

namespace BlockLayer.Tests.Images.Hostile.Structures;

/// <summary>
/// Every file of the corpus' parts 2.13 to 2.20, 3 and 4 through everything that is done to a file of unknown origin: inspected, opened, described, mapped, read,
/// checked, and written. Each has its verdict from the specification, and a price that follows from the file's real length.
/// </summary>
public sealed class HostileStructureTests
{
    private const long MemoryShare = 4 << 20;
    private const int CallBudget = 4000;

    private static readonly StructureCase[] s_cases =
    [
        .. SubclusterCases.All, .. RefcountCases.All, .. SnapshotCases.All, .. BitmapCases.All, .. EncryptionCases.All, .. SizeCases.All, .. QedCases.All, .. OverlayCases.All,
    ];

    public static TheoryData<string> Names() => [.. s_cases.Select(static hostile => hostile.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_hostile_file_gets_its_verdict_at_a_bounded_price(string name)
    {
        StructureCase hostile = s_cases.Single(candidate => candidate.Name == name);
        ImageExercise exercise = Prepare(hostile);
        long before = GC.GetAllocatedBytesForCurrentThread();
        ImageInspection inspection = exercise.Inspect(hostile.Format);
        Assert.Equal([ImageExercise.ImagePath], exercise.Files.Opened);
        ExerciseReport report = exercise.Read(hostile.Format);
        long memory = GC.GetAllocatedBytesForCurrentThread() - before;

        Assert.Equal(hostile.Expected == OpenVerdict.Reject ? hostile.Kind : null, report.Open?.Kind);
        Assert.Equal(hostile.Expected == OpenVerdict.LocalError ? hostile.Kind : null, report.ReadAll?.Kind);
        Assert.Equal(hostile.Expected != OpenVerdict.Ok, IsTold(inspection, report, hostile));
        Assert.Null(report.Info);
        Assert.Null(report.Close);
        Assert.Equal(0, exercise.Files.BytesWritten);
        Assert.InRange(exercise.Files.BytesRead, 0, 16 * (hostile.Image.Length + (hostile.Data?.Length ?? 0) + (long)hostile.Base.Length));
        Assert.InRange(memory, 0, MemoryShare + (2 * hostile.Image.Length));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_hostile_file_is_written_only_where_nothing_can_be_hit(string name)
    {
        StructureCase hostile = s_cases.Single(candidate => candidate.Name == name);
        ImageExercise exercise = Prepare(hostile);
        ExerciseReport report = exercise.Write(hostile.Format, new Random(1));
        BlockLayerException? refusal = report.Open ?? report.Write;
        ReadOnlySpan<byte> after = exercise.Files.Get(ImageExercise.ImagePath);
        switch (hostile.Expected)
        {
            case OpenVerdict.Reject:
                Assert.Equal(hostile.Kind, report.Open?.Kind);
                Assert.Equal(hostile.Image, after);
                break;
            case OpenVerdict.OpenReadOnly:
                // The corrupt bit is all that may be written: it is in the first sector.
                Assert.Equal(hostile.Kind, refusal?.Kind);
                Assert.Equal(hostile.Image.AsSpan(Math.Min(512, hostile.Image.Length)), after[Math.Min(512, after.Length)..]);
                break;
            case OpenVerdict.LocalError:
                Assert.Equal(exercise.Files.Get(ImageExercise.BasePath), hostile.Base);
                break;
            default:
                Assert.Null(refusal);
                Assert.Null(report.Close);
                ExerciseReport again = exercise.Read(hostile.Format);
                Assert.Null(again.Open ?? again.ReadAll);
                Assert.False(hostile.IsMendedByWriting && again.CheckReport is not { Corruptions: 0, Leaks: 0, CheckErrors: 0 }, "The write did not mend the image.");
                break;
        }
    }

    // As many as the corpus has commas in the line, or more.
    [Theory]
    [InlineData("2.13", 3)]
    [InlineData("2.14", 12)]
    [InlineData("2.15", 2)]
    [InlineData("2.16", 9)]
    [InlineData("2.17", 12)]
    [InlineData("2.18", 7)]
    [InlineData("2.19", 5)]
    [InlineData("2.20", 8)]
    [InlineData("3", 15)]
    [InlineData("4", 13)]
    public void Every_number_has_its_cases(string number, int least)
    {
        Assert.InRange(s_cases.Count(hostile => hostile.Number == number), least, int.MaxValue);
        Assert.Equal(s_cases.Length, s_cases.DistinctBy(static hostile => hostile.Name).Count());
    }

    // A refusal is told by the inspection, unless what is wrong lies in another file or needs a passphrase: inspections open nothing else.
    private static bool IsTold(ImageInspection inspection, ExerciseReport report, StructureCase hostile)
        => inspection.Reasons.Any(static reason => reason.Verdict != InspectionVerdict.ReferencesOtherFiles)
            || report.CheckReport is { Corruptions: > 0 } or { Leaks: > 0 } or { CheckErrors: > 0 }
            || (report.Open is not null && (hostile.Format == "add-cow" || hostile.Passphrase is not null));

    private static ImageExercise Prepare(StructureCase hostile)
    {
        var exercise = new ImageExercise { Secrets = hostile.Passphrase is null ? null : new ImageSecrets(hostile.Passphrase) };
        exercise.Files.Put(ImageExercise.ImagePath, hostile.Image);
        exercise.Files.Put(ImageExercise.BasePath, hostile.Base);
        if (hostile.Data is not null)
        {
            exercise.Files.Put(ImageExercise.DataPath, hostile.Data);
        }

        exercise.Files.CallBudget = CallBudget;
        return exercise;
    }
}
