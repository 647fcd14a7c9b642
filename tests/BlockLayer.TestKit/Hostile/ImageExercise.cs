using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;

namespace BlockLayer.TestKit.Hostile;

/// <summary>
/// Does to one file, whatever is in it, everything that is done to files of unknown origin. Each step succeeds or fails with an error of the block layer; any
/// other exception is the caller's to report. Files are metered and everything runs on the calling thread, so that what a step costs is counted.
/// </summary>
/// <remarks>Not for several threads. One exercise is used for many images: its own buffers and files are kept, so they are not counted twice.</remarks>
internal sealed class ImageExercise
{
    /// <summary>The image's place.</summary>
    internal const string ImagePath = "/d/image";

    /// <summary>The place of the backing file that the image may refer to.</summary>
    internal const string BasePath = "/d/base";

    /// <summary>The place of the file with the guest's data that the image may refer to.</summary>
    internal const string DataPath = "/d/data";

    private const long MaxRead = 16 << 20;
    private const int MaxRuns = 10_000;

    private static readonly Passphrase s_passphrase = Passphrase.FromText("of all seeds");
    private static readonly ImageSecrets s_secrets = new(s_passphrase);

    private readonly ImageOpener _opener;
    private readonly BlockEnvironment _environment;
    private readonly byte[] _buffer = new byte[64 << 10];

    /// <param name="files">Where everything happens; null for files with the usual room.</param>
    internal ImageExercise(MeteredFiles? files = null)
    {
        Files = files ?? new MeteredFiles();
        _environment = new BlockEnvironment { Files = Files, Work = InlineWorkScheduler.Instance, Time = new FrozenTime() };
        _opener = new ImageOpener(BuiltInFormats.All, _environment);
    }

    /// <summary>What opens the images that are encrypted.</summary>
    internal static Passphrase Passphrase => s_passphrase;

    /// <summary>The image, what it may refer to, and what was asked of them.</summary>
    internal MeteredFiles Files { get; }

    /// <summary>What encrypted images are opened with; null for nothing.</summary>
    internal ImageSecrets? Secrets { get; init; } = s_secrets;

    /// <summary>Looks at the file without opening it.</summary>
    internal ImageInspection Inspect(string? format)
        => Finish(ImageInspector.InspectAsync(ImagePath, new InspectOptions { Format = format, Environment = _environment }));

    /// <summary>Opens the image, reads all there is to read, and checks it, changing nothing.</summary>
    internal ExerciseReport Read(string? format, BackingMode backing = BackingMode.Open, OpenPolicy? policy = null)
    {
        var report = new ExerciseReport();
        BlockNode? node = null;
        report.Open = Try(() => node = Finish(_opener.OpenAsync(ImagePath, new ImageOpenOptions { Format = format, Backing = backing, Policy = policy ?? OpenPolicy.Default, Secrets = Secrets })));
        if (node is null)
        {
            return report;
        }

        report.Length = node.Length;
        report.Info = Try(() => Describe(node, report));
        report.Map = Try(() => Map(node, report));
        report.ReadAll = ReadAll(node, report);
        if (ImageChecker.CanCheck(node))
        {
            report.Check = Try(() => report.CheckReport = Finish(ImageChecker.CheckAsync(node)));
        }

        report.Close = Try(() => Finish(node.DisposeAsync()));
        return report;
    }

    /// <summary>Describes the image and all below it as <c>blk info --backing-chain</c> does: opened without the file that holds the guest's data.</summary>
    internal ExerciseReport Describe(string? format)
    {
        var report = new ExerciseReport();
        BlockNode? node = null;
        var options = new ImageOpenOptions { Format = format, DataFile = DataFileMode.Ignore };
        report.Open = Try(() => node = Finish(_opener.OpenAsync(ImagePath, options)));
        if (node is not null)
        {
            report.Info = Try(() => Describe(node, report));
            report.Close = Try(() => Finish(node.DisposeAsync()));
        }

        return report;
    }

    /// <summary>Opens the image for writing and changes it in a few places, which <paramref name="random"/> chooses.</summary>
    internal ExerciseReport Write(string format, Random random)
    {
        var report = new ExerciseReport();
        BlockNode? node = null;
        var options = new ImageOpenOptions { Format = format, Access = NodeAccess.ReadWrite, Policy = OpenPolicy.Default, Secrets = Secrets };
        report.Open = Try(() => node = Finish(_opener.OpenAsync(ImagePath, options)));
        if (node is null)
        {
            return report;
        }

        report.Length = node.Length;
        for (int i = 0; i < 6 && node.Length > 0; i++)
        {
            long offset = random.NextInt64(Math.Min(node.Length, 1 << 20));
            int length = (int)Math.Min(random.Next(1, 8192), node.Length - offset);
            BlockLayerException? error = Try(() => Finish(random.Next(6) switch
            {
                0 => node.WriteZeroesAsync(offset, length),
                1 => node.DiscardAsync(offset, length),
                2 => node.FlushAsync(),
                _ => node.WriteAsync(offset, _buffer.AsMemory(0, length)),
            }));
            report.Write ??= error;
        }

        report.Close = Try(() => Finish(node.DisposeAsync()));
        return report;
    }

    /// <summary>Repairs the image, and tells what its guest reads before and after.</summary>
    internal RepairOutcome Repair(string format)
    {
        var outcome = new RepairOutcome { Before = Sample(format) };
        BlockNode? node = null;
        var options = new ImageOpenOptions { Format = format, Access = NodeAccess.ReadWrite, Purpose = OpenPurpose.Repair, Secrets = s_secrets };
        outcome.Open = Try(() => node = Finish(_opener.OpenAsync(ImagePath, options)));
        if (node is not null)
        {
            if (ImageChecker.CanRepair(node))
            {
                outcome.Repair = Try(() => outcome.Report = Finish(ImageChecker.RepairAsync(node, RepairMode.All)));
            }

            outcome.Close = Try(() => Finish(node.DisposeAsync()));
        }

        outcome.After = Sample(format);
        return outcome;
    }

    /// <summary>Hashes of what the guest reads, piece by piece at the start of the disk; null for a piece that cannot be read, empty for a disk that cannot be opened.</summary>
    private List<int?> Sample(string format)
    {
        const int Pieces = 256;
        List<int?> sample = [];
        BlockNode? node = null;
        if (Try(() => node = Finish(_opener.OpenAsync(ImagePath, new ImageOpenOptions { Format = format, Secrets = s_secrets }))) is not null || node is null)
        {
            return sample;
        }

        int piece = Math.Clamp(node.Limits.ClusterSize, 512, _buffer.Length);
        int failed = 0;
        for (long offset = 0; offset < node.Length && sample.Count < Pieces && failed < 20; offset += piece)
        {
            Memory<byte> buffer = _buffer.AsMemory(0, (int)Math.Min(piece, node.Length - offset));
            long from = offset;
            bool isRead = Try(() => Finish(node.ReadAsync(from, buffer))) is null;
            var hash = default(HashCode);
            hash.AddBytes(buffer.Span);
            sample.Add(isRead ? hash.ToHashCode() : null);
            failed += isRead ? 0 : 1;
        }

        Finish(node.DisposeAsync());
        return sample;
    }

    /// <summary>Asks every image of the chain what it is.</summary>
    private static void Describe(BlockNode node, ExerciseReport report)
    {
        foreach (BlockNode image in BackingChain.Images(node))
        {
            ImageInfo info = Finish(ImageInfo.ReadAsync(image));
            report.Images++;
            report.Snapshots += info.Snapshots.Count;
            report.Bitmaps += info.Details.Properties.Select(static property => property.Value).OfType<IReadOnlyList<ImageBitmap>>().Sum(static list => list.Count);
            report.Damage += info.Details.Damage.Count;
        }
    }

    private static void Map(BlockNode node, ExerciseReport report)
    {
        IAsyncEnumerator<MapExtent> runs = ImageMapper.MapAsync(node).GetAsyncEnumerator();
        while (report.MapRuns < MaxRuns && Finish(runs.MoveNextAsync()))
        {
            report.MapRuns++;
        }

        Finish(runs.DisposeAsync());
    }

    /// <summary>
    /// Reads what the status says is data, run by run. A run that cannot be read does not keep the next from being read; but an image that is all errors teaches
    /// nothing more with each, so the jumps get longer.
    /// </summary>
    private BlockLayerException? ReadAll(BlockNode node, ExerciseReport report)
    {
        BlockLayerException? first = null;
        long offset = 0;
        for (int runs = 0; runs < MaxRuns && offset < node.Length && report.BytesRead < MaxRead; runs++)
        {
            BlockStatus status = default;
            long at = offset;
            BlockLayerException? error = Try(() => status = Finish(node.GetStatusAsync(at, node.Length - at, StatusDepth.Chain)));
            long length = error is null ? status.Length : Math.Min(512L << Math.Min(report.FailedRequests, 40), node.Length - at);
            for (long done = 0; error is null && !status.IsZero && done < length && report.BytesRead < MaxRead;)
            {
                int piece = (int)Math.Min(_buffer.Length, length - done);
                long from = at + done;
                error = Try(() => Finish(node.ReadAsync(from, _buffer.AsMemory(0, piece))));
                report.BytesRead += piece;
                done += piece;
            }

            first ??= error;
            report.FailedRequests += error is null ? 0 : 1;
            offset += length;
        }

        return first;
    }

    private static BlockLayerException? Try(Action step)
    {
        try
        {
            step();
            return null;
        }
        catch (BlockLayerException error)
        {
            return error;
        }
    }

    // Nothing here ever has to wait: whoever does waits for nobody.
    private static void Finish(ValueTask step) => Finish(new ValueTask<bool>(Answer(step)));

    private static async Task<bool> Answer(ValueTask step)
    {
        await step.ConfigureAwait(false);
        return true;
    }

    private static T Finish<T>(ValueTask<T> step)
        => step.IsCompleted ? step.GetAwaiter().GetResult() : throw new InvalidOperationException("The step waits for something that never comes.");
}
