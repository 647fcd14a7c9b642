using System.Text.Json;
using System.Threading.Channels;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;

namespace BlockLayer.Interop.Tests.Jobs;

/// <summary>Our jobs, and what they tell in QMP's words.</summary>
internal sealed class OurSide : JobSide
{
    private readonly Dictionary<string, BlockNode> _images = []; // those that were opened and belong to no disk
    private readonly HashSet<string> _givenAway = [];            // those of them that a job has taken over
    private readonly List<Disk> _disks = [];
    private readonly List<BlockJob> _jobs = [];
    private readonly Channel<JsonElement> _events = Channel.CreateUnbounded<JsonElement>();

    private OurSide(string folder) => Folder = folder;

    internal override string Folder { get; }

    private Disk Active => _disks[0];

    /// <summary>Opens the chain of <c>active</c>, and more images.</summary>
    internal static async Task<OurSide> OpenAsync(string folder, params string[] more)
    {
        var side = new OurSide(folder);
        side._disks.Add(await Disk.OpenAsync(JobImages.FileOf(folder, "active")));
        foreach (string name in more)
        {
            if (name == "other")
            {
                side._disks.Add(await Disk.OpenAsync(JobImages.FileOf(folder, name)));
                continue;
            }

            var how = new ImageOpenOptions { Format = "qcow2", Access = name == "readonly" ? NodeAccess.ReadOnly : NodeAccess.ReadWrite };
            side._images.Add(name, await new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default).OpenAsync(JobImages.FileOf(folder, name), how));
        }

        return side;
    }

    public override async ValueTask DisposeAsync()
    {
        foreach (BlockJob job in _jobs)
        {
            job.TryCancel(force: true);
            await job.Completion;
        }

        foreach (string image in _images.Keys.Except(_givenAway))
        {
            await _images[image].DisposeAsync();
        }

        foreach (Disk disk in _disks)
        {
            await disk.DisposeAsync();
        }
    }

    public override string ToString() => "BlockLayer";

    private protected override async ValueTask<string?> TryStartCoreAsync(JobRequest[] jobs)
    {
        try
        {
            BlockJob[] made = [.. jobs.Select(Make)];
            foreach (BlockJob job in made)
            {
                job.Notified += (who, what) => _events.Writer.TryWrite(Written(writer => QmpText.WriteEvent(writer, who, what)));
            }

            await JobTransaction.StartAsync(made);
            _jobs.AddRange(made);
            _givenAway.UnionWith(jobs.Select(static job => job.Target).OfType<string>());
            return null;
        }
        catch (Exception refusal) when (refusal is BlockLayerException or ArgumentException)
        {
            return refusal.Message;
        }
    }

    private protected override ValueTask<string?> TryAskAsync(string verb, string job)
    {
        BlockJob asked = _jobs.Last(known => known.Id == job);
        try
        {
            switch (verb.Split(' '))
            {
                case ["set-speed", var speed]:
                    asked.BytesPerSecond = long.Parse(speed, null);
                    break;
                case ["block-job-cancel", .. var force]:
                    asked.Cancel(force.Length > 0);
                    break;
                case ["job-cancel"]: // QMP's document: always with force
                    asked.Cancel(force: true);
                    break;
                case ["job-pause"]:
                    asked.Pause();
                    break;
                case ["job-resume"]:
                    asked.Resume();
                    break;
                case ["job-complete"]:
                    asked.Complete();
                    break;
                case ["job-finalize"]:
                    asked.FinalizeJob();
                    break;
                case ["job-dismiss"]:
                    asked.Dismiss();
                    break;
                default:
                    throw new NotSupportedException($"No job takes '{verb}'.");
            }

            return new ValueTask<string?>((string?)null);
        }
        catch (Exception refusal) when (refusal is BlockLayerException or ArgumentException)
        {
            return new ValueTask<string?>(refusal.Message);
        }
    }

    private protected override IEnumerable<JsonElement> TakeEventsOfStart() => [];

    private protected override ValueTask<JsonElement> NextEventAsync() => _events.Reader.ReadAsync(Xunit.TestContext.Current.CancellationToken);

    private protected override ValueTask<JsonElement[]> QueryAsync(string command)
    {
        IEnumerable<JobInfo> jobs = _jobs.Select(static job => job.GetInfo()).Where(static job => job.State != JobState.Null);
        return ValueTask.FromResult(jobs
            .Select(job => Written(writer =>
            {
                if (command == "query-jobs")
                {
                    QmpText.WriteJobInfo(writer, job);
                }
                else
                {
                    QmpText.WriteBlockJobInfo(writer, job);
                }
            }))
            .ToArray());
    }

    private static JsonElement Written(Action<Utf8JsonWriter> write)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream))
        {
            write(writer);
        }

        return JsonSerializer.Deserialize<JsonElement>(stream.ToArray());
    }

    private BlockJob Make(JobRequest job) => job.Kind switch
    {
        JobRequest.Stream => new StreamJob(Active.Root, Common(job, new StreamOptions
        {
            Top = NodeOf(job.Device),
            Base = NodeOf(job.Base),
            BaseName = job.BaseName,
            Bottom = NodeOf(job.Bottom),
            BackingName = job.BackingFile,
        })),
        JobRequest.Commit => new CommitJob(Active.Root, Common(job, new CommitOptions
        {
            Top = NodeOf(job.Top),
            Base = NodeOf(job.Base),
            BaseName = job.BaseName,
            BackingName = job.BackingFile,
        })),
        JobRequest.ActiveCommit => new ActiveCommitJob(Active.Root, Common(job, new ActiveCommitOptions { Base = NodeOf(job.Base), BaseName = job.BaseName })),
        JobRequest.Mirror => new MirrorJob(DiskOf(job).Root, NodeOf(job.Target)!, Common(job, new MirrorJobOptions
        {
            Scope = Enum.Parse<MirrorScope>(job.Sync!, ignoreCase: true),
            Granularity = job.Granularity,
            CopyMode = job.CopyMode == "write-blocking" ? MirrorCopyMode.WriteBlocking : MirrorCopyMode.Background,
        })),
        _ => new BackupJob(DiskOf(job).Root, NodeOf(job.Target)!, Common(job, new BackupOptions
        {
            Sync = Enum.Parse<BackupSync>(job.Sync!, ignoreCase: true),
            Bitmap = job.Bitmap,
            OnTargetError = PolicyOf(job),
        })),
    };

    private static T Common<T>(JobRequest job, T options)
        where T : JobOptions
        => options with { Id = job.Id, BytesPerSecond = job.Speed, OnError = PolicyOf(job), AutoFinalize = job.AutoFinalize, AutoDismiss = job.AutoDismiss };

    private static JobErrorPolicy PolicyOf(JobRequest job)
        => job.OnError == "enospc" ? JobErrorPolicy.StopOnNoSpace : Enum.Parse<JobErrorPolicy>(job.OnError, ignoreCase: true);

    private Disk DiskOf(JobRequest job) => _disks[job.Device == "other" ? 1 : 0];

    private BlockNode? NodeOf(string? name)
        => name is null
            ? null
            : _images.GetValueOrDefault(name) ?? _disks.SelectMany(static disk => disk.Chain).First(image => image.Path == JobImages.FileOf(Folder, name));
}
