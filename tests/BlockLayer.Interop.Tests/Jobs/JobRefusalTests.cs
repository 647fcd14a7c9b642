using Xunit;
using static BlockLayer.Interop.Tests.Jobs.JobRequest;

namespace BlockLayer.Interop.Tests.Jobs;

/// <summary>What a start is given, and who refuses it: qemu-storage-daemon and ours agree, or it is said here why not.</summary>
[Collection(JobImagesCollection.Name)]
public sealed class JobRefusalTests(JobImages images)
{
    private static readonly JobRequest s_pull = new(JobRequest.Stream) { Speed = 1 };
    private static readonly JobRequest s_commit = Of(Commit) with { Speed = 1 };
    private static readonly JobRequest s_active = Of(ActiveCommit) with { Speed = 1 };
    private static readonly JobRequest s_mirror = Of(Mirror) with { Speed = 1 };
    private static readonly JobRequest s_backup = Of(Backup) with { Speed = 1 };

    private static readonly Dictionary<string, Row> s_rows = new()
    {
        ["pull: the whole chain"] = new(s_pull, Who.Nobody),
        ["pull: down to the base"] = new(s_pull with { Base = "base" }, Who.Nobody),
        ["pull: nothing between the image and its base"] = new(s_pull with { Base = "middle" }, Who.Nobody),
        ["pull: into an image below the newest"] = new(s_pull with { Device = "middle", Base = "base" }, Who.Nobody),
        ["pull: into the lowest image"] = new(s_pull with { Device = "base" }, Who.Nobody),
        ["pull: the bottom is the image"] = new(s_pull with { Bottom = "active" }, Who.Nobody),
        ["pull: as fast as can be said"] = new(s_pull with { Speed = long.MaxValue }, Who.Nobody),
        ["pull: the base is the image"] = new(s_pull with { Base = "active" }, Who.Both),
        ["pull: the base is a sibling"] = new(s_pull with { Base = "sibling" }, Who.Both),
        ["pull: the base is of another disk"] = new(s_pull with { Base = "other" }, Who.Both),
        ["pull: the base is above the top"] = new(s_pull with { Device = "middle", Base = "active" }, Who.Both),
        ["pull: the base is the top"] = new(s_pull with { Device = "middle", Base = "middle" }, Who.Both),
        ["pull: no image of that name"] = new(s_pull with { BaseName = "/nowhere" }, Who.Both),
        ["pull: the bottom is of another disk"] = new(s_pull with { Bottom = "other" }, Who.Both),
        ["pull: the bottom is above the top"] = new(s_pull with { Device = "middle", Bottom = "active" }, Who.Both),
        ["pull: both a base and a bottom"] = new(s_pull with { Base = "base", Bottom = "middle" }, Who.Both),
        ["pull: negative speed"] = new(s_pull with { Speed = -1 }, Who.Both),
        ["pull: a name, and no backing file to be called so"] = new(s_pull with { BackingFile = "base.qcow2" }, Who.Both),

        ["commit: down to the base"] = new(s_commit, Who.Nobody),
        ["commit: no base said"] = new(s_commit with { Base = null }, Who.Nobody),
        ["commit: into itself"] = new(s_commit with { Base = "middle" }, Who.Both),
        ["commit: the base is above the top"] = new(s_commit with { Top = "base", Base = "middle" }, Who.Both),
        ["commit: the base is the newest"] = new(s_commit with { Base = "active" }, Who.Both),
        ["commit: the base is a sibling"] = new(s_commit with { Base = "sibling" }, Who.Both),
        ["commit: the top is a sibling"] = new(s_commit with { Top = "sibling" }, Who.Both),
        ["commit: the base is of another disk"] = new(s_commit with { Base = "other" }, Who.Both),
        ["commit: nothing below the top"] = new(s_commit with { Top = "base", Base = null }, Who.Both),
        ["commit: no image of that name"] = new(s_commit with { Base = null, BaseName = "/nowhere" }, Who.Both),
        ["commit: negative speed"] = new(s_commit with { Speed = -1 }, Who.Both),

        ["active commit: down to the base"] = new(s_active, Who.Nobody),
        ["active commit: into itself"] = new(s_active with { Base = "active" }, Who.Both),
        ["active commit: the base is a sibling"] = new(s_active with { Base = "sibling" }, Who.Both),
        ["active commit: no image of that name"] = new(s_active with { Base = null, BaseName = "/nowhere" }, Who.Both),
        ["active commit: negative speed"] = new(s_active with { Speed = -1 }, Who.Both),

        ["mirror: all"] = new(s_mirror, Who.Nobody),
        ["mirror: only what is written from now on"] = new(s_mirror with { Sync = "none" }, Who.Nobody),
        ["mirror: both sides at once"] = new(s_mirror with { CopyMode = "write-blocking" }, Who.Nobody),
        ["mirror: smallest granularity of ours"] = new(s_mirror with { Granularity = 4096 }, Who.Nobody),
        ["mirror: largest granularity"] = new(s_mirror with { Granularity = 1 << 26 }, Who.Nobody),
        ["mirror: into itself"] = new(s_mirror with { Target = "active" }, Who.Both),
        ["mirror: into its backing file"] = new(s_mirror with { Target = "middle" }, Who.Both),
        ["mirror: into its lowest image"] = new(s_mirror with { Target = "base" }, Who.Both),
        ["mirror: into what is read-only"] = new(s_mirror with { Target = "readonly" }, Who.Both),
        ["mirror: granularity is no power of two"] = new(s_mirror with { Granularity = 5000 }, Who.Both),
        ["mirror: granularity too small"] = new(s_mirror with { Granularity = 256 }, Who.Both),
        ["mirror: granularity too large"] = new(s_mirror with { Granularity = 1 << 27 }, Who.Both),
        ["mirror: negative speed"] = new(s_mirror with { Speed = -1 }, Who.Both),

        ["backup: all"] = new(s_backup, Who.Nobody),
        ["backup: the newest image"] = new(s_backup with { Sync = "top" }, Who.Nobody),
        ["backup: only what is overwritten"] = new(s_backup with { Sync = "none" }, Who.Nobody),
        ["backup: into itself"] = new(s_backup with { Target = "active" }, Who.Both),
        ["backup: into its backing file"] = new(s_backup with { Target = "middle" }, Who.Both),
        ["backup: into what is read-only"] = new(s_backup with { Target = "readonly" }, Who.Both),
        ["backup: into what is shorter"] = new(s_backup with { Target = "short" }, Who.Both),
        ["backup: into what is longer"] = new(s_backup with { Target = "long" }, Who.Both),
        ["backup: no bitmap said"] = new(s_backup with { Sync = "incremental" }, Who.Both),
        ["backup: no such bitmap"] = new(s_backup with { Sync = "incremental", Bitmap = "nobody" }, Who.Both),
        ["backup: a bitmap for all"] = new(s_backup with { Bitmap = "nobody" }, Who.Both),
        ["backup: negative speed"] = new(s_backup with { Speed = -1 }, Who.Both),

        ["pull under way: another of it"] = new(s_pull, Who.Both) { UnderWay = s_pull },
        ["pull under way: a pull into what it reads"] = new(s_pull with { Device = "middle" }, Who.Both) { UnderWay = s_pull },
        ["pull under way: a pull below it"] = new(s_pull with { Device = "middle" }, Who.Nobody) { UnderWay = s_pull with { Bottom = "active" } },
        ["pull under way: a commit of what it reads"] = new(s_commit, Who.Both) { UnderWay = s_pull },
        ["pull under way: a commit of all"] = new(s_active, Who.Both) { UnderWay = s_pull },
        ["commit under way: a pull of what it commits"] = new(s_pull, Who.Both) { UnderWay = s_commit },
        ["commit under way: another of it"] = new(s_commit, Who.Both) { UnderWay = s_commit },
        ["commit under way: a commit of all"] = new(s_active, Who.Both) { UnderWay = s_commit },
        ["commit of all under way: a commit"] = new(s_commit, Who.Both) { UnderWay = s_active },
        ["mirror under way: another"] = new(s_mirror with { Target = "target2" }, Who.Both) { UnderWay = s_mirror },
        ["mirror under way: its target is another's"] = new(s_backup with { Device = "other" }, Who.Both) { UnderWay = s_mirror },
        ["mirror under way: a pull"] = new(s_pull, Who.Both) { UnderWay = s_mirror },
        ["backup under way: its target is another's"] = new(s_backup with { Device = "other" }, Who.Both) { UnderWay = s_backup },
        ["backup under way: a mirror into its target"] = new(s_mirror with { Device = "other" }, Who.Both) { UnderWay = s_backup },

        // Ours writes down only names that lead to the base. QEMU writes what it is given, and who opens the image next has nothing below it, or something else.
        ["pull: a name that leads elsewhere"] = new(s_pull with { Base = "base", BackingFile = "sibling.qcow2" }, Who.Ours),
        ["commit: a name that leads elsewhere"] = new(s_commit with { BackingFile = "sibling.qcow2" }, Who.Ours),

        // QEMU lets a commit change what other overlays of the base show.
        ["commit: somebody else reads the base"] = new(s_commit, Who.Ours) { Opened = ["sibling"] },
        ["active commit: somebody else reads the base"] = new(s_active, Who.Ours) { Opened = ["sibling"] },

        // Ours has one job at work on an image at a time.
        ["backup under way: another of the disk"] = new(s_backup with { Target = "target2" }, Who.Ours) { UnderWay = s_backup },

        // QEMU 7.2 starts, and the job meets the end of the target: it fails where a guest's disk has data there.
        ["mirror: into what is shorter"] = new(s_mirror with { Target = "short" }, Who.Ours),

        // What lies below the target is the user's business for QEMU. Ours would promise a copy that shows something else.
        ["mirror: the newest image, into a target that stands on nothing"] = new(s_mirror with { Sync = "top" }, Who.Ours),

        // Ours keeps a bit for each 4 KiB at most: images have no smaller clusters worth it.
        ["mirror: granularity of a sector"] = new(s_mirror with { Granularity = 512 }, Who.Ours),

        // A name for whoever reads logs; the object is the job. QEMU finds jobs by their names.
        ["any: a name that is no identifier"] = new(s_pull with { Id = "1 job" }, Who.Theirs),
        ["any: a name that is in use"] = new(s_backup with { Id = "under-way", Device = "other" }, Who.Theirs) { UnderWay = s_pull with { Bottom = "active" } },
    };

    /// <summary>Who refuses.</summary>
    public enum Who
    {
        Nobody,
        Ours,
        Theirs,
        Both,
    }

    public static TheoryData<string> Rows => [.. s_rows.Keys];

    [Theory]
    [MemberData(nameof(Rows))]
    public async Task A_start_is_refused(string name)
    {
        Row row = s_rows[name];
        string[] asked = [row.Asked.Base ?? "", row.Asked.Top ?? "", row.Asked.Bottom ?? "", row.Asked.Target ?? "", row.Asked.Device, row.UnderWay?.Target ?? ""];
        string[] opened = [.. asked.Concat(row.Opened).Except(["", "active", "middle", "base"])];
        using JobFolder theirs = JobFolder.Roomy(images);
        using JobFolder ours = JobFolder.Roomy(images);
        string? theirRefusal = await TryAsync(await QemuSide.OpenAsync(theirs.Path, opened), row);
        string? ourRefusal = await TryAsync(await OurSide.OpenAsync(ours.Path, opened), row);
        TestContext.Current.TestOutputHelper?.WriteLine($"QEMU: {theirRefusal ?? "starts"}\nours: {ourRefusal ?? "starts"}");
        Assert.Equal(row.Refused, (theirRefusal, ourRefusal) switch
        {
            (null, null) => Who.Nobody,
            (null, _) => Who.Ours,
            (_, null) => Who.Theirs,
            _ => Who.Both,
        });
    }

    private static async Task<string?> TryAsync(JobSide side, Row row)
    {
        await using (side)
        {
            if (row.UnderWay is not null)
            {
                await side.StartAsync(row.UnderWay with { Id = "under-way", AutoFinalize = false });
            }

            string? refusal = await side.TryStartAsync(row.Asked);
            if (refusal is null)
            {
                await side.EndAsync(row.Asked.Id);
            }

            return refusal;
        }
    }

    private sealed record Row(JobRequest Asked, Who Refused)
    {
        /// <summary>A job that was started before.</summary>
        internal JobRequest? UnderWay { get; init; }

        /// <summary>Images that are open besides those that the job is about.</summary>
        internal string[] Opened { get; init; } = [];
    }
}
