using System.Globalization;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Hostile;
using Xunit;

namespace BlockLayer.Fuzz.Tests;

/// <summary>
/// Runs many mutated images of one format through everything, and holds each to its share: calls and bytes of the files, and bytes of memory. What no image may do
/// is fail otherwise than with an error of the block layer, wait, open a file nobody allowed, or write while it is only read.
/// </summary>
/// <param name="format">The format's name.</param>
/// <param name="seeds">The sound images.</param>
/// <param name="dataFile">What stands where images of this format find the guest's data, if they keep it elsewhere.</param>
internal sealed class FuzzRun(string format, IReadOnlyList<SeedImage> seeds, byte[] dataFile)
{
    // The shares of one step, for files of at most 1 MiB. A cluster is at most 2 MiB, and a few of them are held at a time; a run of the map costs a look at a
    // table or two, and there are at most 10,000 of them.
    private const long CallShare = 20_000;
    private const long ReadShare = 32L << 20;
    private const long MemoryShare = 12L << 20;
    private const long MemoryPerFileByte = 16;
    private const int RepairPasses = 6; // a repair is several checks, whose memory is counted together although it is not held together
    private const long MemoryPerError = 16 << 10; // an exception with its stack trace

    private readonly ImageExercise _exercise = new();
    private readonly Mutator _mutator = new(seeds);

    private long _tried;
    private long _images;
    private long _listed;
    private long _undescribed;
    private long _opened;
    private long _refused;
    private long _clean;
    private long _repaired;
    private long _mostCalls;
    private long _mostRead;
    private long _mostMemory;

    /// <summary>Tries the image of each seed.</summary>
    internal void Check(string test, int count)
    {
        Seeds.Check(test, count, Try);
        TestReport.Add(string.Create(
            CultureInfo.InvariantCulture,
            $"{format}: {_tried} files, {_images} images in their chains described ({_listed} snapshots and bitmaps listed, {_undescribed} not), {_opened} opened ({_clean} found clean), {_refused} refused, {_repaired} repaired; the most for one: {_mostCalls} calls, {_mostRead >> 10} KiB read, {_mostMemory >> 10} KiB of memory"));
    }

    private void Try(ulong seed)
    {
        (byte[] image, string story) = _mutator.Make(seed);
        try
        {
            _exercise.Files.Put(ImageExercise.BasePath, SeedWorld.Base);
            _exercise.Files.Put(ImageExercise.DataPath, dataFile);
            _exercise.Files.Put(ImageExercise.ImagePath, image);
            Inspect(image.Length);
            Describe(image);
            bool wasClean = Read(image);
            Write(seed, image.Length, wasClean);
            _exercise.Files.Put(ImageExercise.ImagePath, image);
            _exercise.Files.Put(ImageExercise.DataPath, dataFile);
            Repair(image.Length);
        }
        catch (Exception error)
        {
            throw new InvalidOperationException($"{story}: {error.GetType().Name}: {error.Message}", error);
        }

        _tried++;
    }

    private void Inspect(long length)
    {
        ImageInspection inspection = Metered(length, () => _exercise.Inspect(format), _ => 0);
        Assert.Equal([ImageExercise.ImagePath], _exercise.Files.Opened);
        Assert.InRange(inspection.BytesRead, 0, Math.Min(ImageInspector.MaxBytesRead, 4 * length));
    }

    private void Describe(byte[] image)
    {
        ExerciseReport report = Metered(image.Length, () => _exercise.Describe(format), _ => 0);
        Assert.True(_exercise.Files.Get(ImageExercise.ImagePath).SequenceEqual(image), "describing changed the file");
        Assert.DoesNotContain(ImageExercise.DataPath, format == "qcow2" ? _exercise.Files.Opened : []);
        Assert.Null(report.Info ?? report.Close);
        _images += report.Images;
        _listed += report.Snapshots + report.Bitmaps;
        _undescribed += report.Damage;
    }

    private bool Read(byte[] image)
    {
        ExerciseReport report = Metered(image.Length, () => _exercise.Read(format), report => report.FailedRequests);
        Assert.True(_exercise.Files.Get(ImageExercise.ImagePath).SequenceEqual(image), "reading changed the file");
        Assert.Equal(0, _exercise.Files.BytesWritten);
        AssertOnlyAllowedFiles();
        _opened += report.Open is null ? 1 : 0;
        _refused += report.Open is null ? 0 : 1;
        bool isClean = report.CheckReport is { IsClean: true };
        _clean += isClean ? 1 : 0;
        return isClean;
    }

    private void Write(ulong seed, long length, bool wasClean)
    {
        Metered(length, () => _exercise.Write(format, new Random((int)seed)), report => report.FailedRequests);
        AssertOnlyAllowedFiles();
        if (wasClean)
        {
            ImageCheckReport? after = _exercise.Read(format).CheckReport;
            string finding = after?.Findings is [{ } first, ..] ? first.Message : "it cannot be checked any more";
            Assert.True(after is { Corruptions: 0, CheckErrors: 0 }, $"what was found sound is damaged once it was written: {finding}");
        }
    }

    private void Repair(long length)
    {
        RepairOutcome outcome = Metered(length, () => _exercise.Repair(format), _ => 0, RepairPasses);
        AssertOnlyAllowedFiles();
        _repaired += outcome.Report is { Before.IsClean: false, After: { Corruptions: 0, CheckErrors: 0 } } ? 1 : 0;
        Assert.True(outcome.After.Count >= outcome.Before.Count, "what could be opened cannot be opened once it was repaired");
        for (int piece = 0; piece < outcome.Before.Count; piece++)
        {
            Assert.True(
                outcome.Before[piece] is not { } hash || outcome.After[piece] == hash,
                $"piece {piece} of the disk could be read before the repair and {(outcome.After[piece] is null ? "cannot now" : "holds something else now")}; repair: {outcome.Repair?.Message} {string.Join(" ", outcome.Report?.Repairs ?? [])}");
        }
    }

    private T Metered<T>(long fileLength, Func<T> step, Func<T, int> errorsOf, int passes = 1)
    {
        _exercise.Files.Reset();
        _exercise.Files.CallBudget = CallShare;
        long before = GC.GetAllocatedBytesForCurrentThread();
        T result = step();
        long memory = GC.GetAllocatedBytesForCurrentThread() - before;
        _mostCalls = Math.Max(_mostCalls, _exercise.Files.Calls);
        _mostRead = Math.Max(_mostRead, _exercise.Files.BytesRead);
        memory -= MemoryPerError * errorsOf(result);
        _mostMemory = Math.Max(_mostMemory, memory);
        Assert.InRange(_exercise.Files.BytesRead, 0, ReadShare);
        Assert.True(memory < passes * (MemoryShare + (MemoryPerFileByte * fileLength)), $"{memory} bytes of memory for a file of {fileLength}");
        return result;
    }

    private void AssertOnlyAllowedFiles()
        => Assert.All(_exercise.Files.Opened, path => Assert.True(path is ImageExercise.ImagePath or ImageExercise.BasePath or ImageExercise.DataPath, $"'{path}' was opened"));
}
