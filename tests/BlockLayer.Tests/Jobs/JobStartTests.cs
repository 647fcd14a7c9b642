using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Primitives;
using BlockLayer.Simulation;
using BlockLayer.Storage;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>What jobs find when they start, where files, other jobs and snapshots have prepared it.</summary>
public class JobStartTests
{
    private const long Length = 1 << 20;

    private readonly SimulatedMachine _machine = new();

    [Theory]
    [InlineData("qcow2")]
    [InlineData("qed")]
    [InlineData("add-cow")]
    public void A_commit_below_an_image_that_is_open_read_only_gives_that_its_new_backing_file(string format)
        => OnChain(format, async disk =>
        {
            CommitJob job = await disk.StartCommitAsync(new CommitOptions { Top = disk.Chain[2], Base = disk.Chain[3] });
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
            AssertChain(disk, "/d", "/c", "/a");
            Assert.True(disk.Chain[1].IsReadOnly);
        });

    [Theory]
    [InlineData("qcow2")]
    [InlineData("qed")]
    [InlineData("add-cow")]
    public void A_pull_into_an_image_that_is_open_read_only_gives_that_its_new_backing_file(string format)
        => OnChain(format, async disk =>
        {
            StreamJob job = await disk.StartPullAsync(new StreamOptions { Top = disk.Chain[1], Base = disk.Chain[3] });
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
            AssertChain(disk, "/d", "/c", "/a");
            Assert.True(disk.Chain[1].IsReadOnly);
        });

    // The commit counts the guests' requests at the image that was the newest when it began: that stays open with its chain. Seen by seed 5012474 with eight operators.
    [Fact]
    public void A_commit_ends_well_where_a_mirror_and_a_pull_have_taken_away_what_stood_on_it_and_users_have_deleted_that()
        => OnChain("qcow2", async disk =>
        {
            MirrorJob mirror = await disk.StartMirrorAsync("/copy", new MirrorJobOptions { Scope = MirrorScope.Top }, create: new NewImage { Format = "qcow2" });
            await mirror.WaitUntilReadyAsync();
            CommitJob commit = await disk.StartCommitAsync(new CommitOptions { Top = disk.Chain[2], Base = disk.Chain[3], AutoFinalize = false });
            mirror.Complete();
            JobResult moved = await mirror.Completion;
            Assert.Equal(JobOutcome.Completed, moved.Outcome);
            StreamJob pull = await disk.StartPullAsync(new StreamOptions { Top = disk.Chain[0], Base = disk.Chain[2] });
            JobResult pulled = await pull.Completion;
            Assert.Equal(JobOutcome.Completed, pulled.Outcome);
            AssertChain(disk, "/copy", "/b", "/a");
            Assert.Equal(["/d", "/c"], moved.Files.Unneeded.Concat(pulled.Files.Unneeded));
            foreach (string unneeded in moved.Files.Unneeded.Concat(pulled.Files.Unneeded))
            {
                await _machine.Storage.DeleteAsync(unneeded, CancellationToken.None);
            }

            commit.FinalizeJob();
            Assert.Equal(JobOutcome.Completed, (await commit.Completion).Outcome);
            AssertChain(disk, "/copy", "/a");
        });

    [Fact]
    public void A_copy_of_the_newest_image_is_refused_where_the_backing_file_it_records_was_pulled_away()
        => OnChain("qcow2", async disk =>
        {
            await using BlockNode copy = await CreateOverlayAsync("/copy", "/c");
            await (await disk.StartPullAsync()).Completion;
            await RefusedAsync(disk.StartMirrorAsync(copy, new MirrorJobOptions { Scope = MirrorScope.Top }), "'/copy' records the backing file '/c'");
        });

    [Fact]
    public void A_copy_that_is_refused_because_a_commit_writes_the_backing_file_holds_nothing_afterwards()
        => OnChain("qcow2", async disk =>
        {
            ActiveCommitJob commit = await disk.StartCommitAsync(new ActiveCommitOptions { Base = disk.Chain[1] });
            await using (BlockNode copy = await CreateOverlayAsync("/copy", "/c"))
            {
                await RefusedAsync(disk.StartMirrorAsync(copy, new MirrorJobOptions { Scope = MirrorScope.Top }), "'/c'");
            }

            commit.Cancel(force: true);
            await commit.Completion;
        });

    [Fact]
    public void A_job_is_refused_when_the_newest_image_is_another_one_by_now()
        => OnChain("qcow2", async disk =>
        {
            await using Disk target = await Disk.CreateAsync("/target", new NewImage { Format = "raw", Length = Length }, _machine.As("raw"));
            BlockJob[] jobs =
            [
                new MirrorJob(disk.Root, target.Root),
                new ActiveCommitJob(disk.Root),
                new BackupJob(disk.Root, target.Root),
                new CommitJob(disk.Root, new CommitOptions { Top = disk.Chain[1] }),
                new RebaseJob(disk.Root, new RebaseOptions()),
            ];
            await disk.SwitchAsync("/e");
            foreach (BlockJob job in jobs)
            {
                BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(() => job.StartAsync().AsTask());
                Assert.Equal(BlockErrorKind.Conflict, refusal.Kind);
            }

            Assert.All(disk.Chain, static image => Assert.Empty(image.Claims));
        });

    [Theory]
    [InlineData("mirror")]
    [InlineData("backup")]
    public void A_copy_that_starts_while_the_disk_grows_is_refused_or_keeps_the_disk_as_it_is(string kind)
    {
        for (ulong seed = 1; seed <= 60; seed++)
        {
            var machine = new SimulatedMachine(seed);
            machine.Run(async () =>
            {
                await using Disk disk = await machine.CreateAsync("/disk", Length);
                await using Disk target = await Disk.CreateAsync("/target", new NewImage { Format = "raw", Length = Length }, machine.As("raw"));
                BlockNode node = target.Root.SkipFilters();
                node.AddReference();
                BlockJob job = kind == "mirror" ? new MirrorJob(disk.Root, node) : new BackupJob(disk.Root, node);
                Task<BlockErrorKind?> growth = RefusalOfAsync(disk.ResizeAsync(2 * Length));
                BlockErrorKind? refusal = await RefusalOfAsync(job.StartAsync());
                Assert.Equal((refusal is null ? BlockErrorKind.Conflict : null, refusal is null ? null : BlockErrorKind.OutOfRange), (await growth, refusal));
                if (refusal is not null)
                {
                    await node.DisposeAsync();
                    return;
                }

                job.TryCancel(force: true);
                Assert.Equal(JobOutcome.Cancelled, (await job.Completion).Outcome);
            });
        }
    }

    [Fact]
    public void An_image_that_was_closed_before_its_turn_came_takes_no_bitmap()
        => OnChain("qcow2", async disk =>
        {
            BlockNode newest = disk.Chain[0];
            Task add;
            using (await _machine.Environment.GraphLock.EnterAsync(CancellationToken.None))
            {
                add = ImageBitmaps.AddAsync(newest, "late").AsTask();
                await disk.DisposeAsync();
            }

            BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(() => add);
            Assert.Equal(BlockErrorKind.Conflict, refusal.Kind);
        });

    [Fact]
    public void A_resize_waits_for_requests_in_the_image_that_is_there_when_its_turn_comes()
    {
        var disk = new MirrorFixture();
        disk.Run(async () =>
        {
            Task resize;
            Task write;
            using (await disk.Environment.GraphLock.EnterAsync(CancellationToken.None))
            {
                resize = disk.Root.ResizeAsync(2 * MirrorFixture.Length).AsTask();
                await disk.Root.Refilter(disk.Target).DisposeAsync();
                disk.TargetSteps.Hold(OverlayStep.Store);
                write = disk.WriteAsync(unit: 1, writer: 7).AsTask();
            }

            await disk.PassAsync(1);
            Assert.False(resize.IsCompleted);
            disk.TargetSteps.Release(OverlayStep.Store);
            await write;
            await resize;
            Assert.Equal(2 * MirrorFixture.Length, disk.Target.Length);
        });
    }

    [Fact]
    public void A_commit_that_ends_early_leaves_no_overlay_that_refuses_its_backing_file()
        => OnChain("add-cow", async disk =>
        {
            foreach (Func<Task<BlockJob>> start in (Func<Task<BlockJob>>[])
            [
                async () => await disk.StartCommitAsync(new CommitOptions { Top = disk.Chain[1], Base = disk.Chain[3], AutoFinalize = false }),
                async () => await disk.StartCommitAsync(new ActiveCommitOptions { Base = disk.Chain[2] }),
            ])
            {
                BlockJob job = await start();
                while (job.State is not (JobState.Pending or JobState.Ready))
                {
                    await _machine.PassAsync(TimeSpan.FromMilliseconds(1));
                }

                await CanStartAgainAsync(_machine.Crash());
                job.Cancel(force: true);
                Assert.Equal(JobOutcome.Cancelled, (await job.Completion).Outcome);
            }

            await CanStartAgainAsync(_machine.Crash());
        });

    [Fact]
    public void An_offline_commit_leaves_an_overlay_that_knows_its_backing_file()
        => OnChain("add-cow", async disk =>
        {
            await ImageCommitter.CommitAsync(disk.Root, disk.Chain[2], new ImageCommitOptions { Committed = CommittedImage.Keep });
            await disk.FlushAsync();
            await CanStartAgainAsync(_machine.Crash());
        });

    // The power fails, and everything that was not flushed is lost.
    private static Task CanStartAgainAsync(SimulatedMachine machine)
    {
        machine.Run(async () => await (await Disk.OpenAsync("/d", machine.As("add-cow"))).DisposeAsync());
        return Task.CompletedTask;
    }

    [Theory]
    [InlineData("0.10")]
    [InlineData("1.1")]
    public void What_a_guest_zeroes_while_its_disk_gets_a_first_backing_file_stays_zero(string compat) => _machine.Run(async () =>
    {
        const int Half = (int)(Length / 2);
        var image = new NewImage { Format = "qcow2", Length = Length, Options = new Dictionary<string, string> { ["compat"] = compat } };
        await using Disk disk = await Disk.CreateAsync("/disk", image, _machine.As("qcow2"));
        await using (Disk below = await Disk.CreateAsync("/below", new NewImage { Format = "raw", Length = Length }, _machine.As("raw")))
        {
            await below.WriteAsync(0, Enumerable.Repeat((byte)0x55, (int)Length).ToArray());
        }

        await disk.WriteAsync(0, Enumerable.Repeat((byte)0x11, (int)Length).ToArray());
        RebaseJob job = await disk.StartRebaseAsync("/below", new RebaseOptions { AutoFinalize = false }, _machine.As("raw"));
        while (job.State != JobState.Pending)
        {
            await _machine.PassAsync(TimeSpan.FromMilliseconds(1));
        }

        await disk.WriteZeroesAsync(0, Half, ZeroFlags.MayUnmap);
        await disk.DiscardAsync(Half, Half);
        job.FinalizeJob();
        Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
        byte[] content = new byte[Length];
        await disk.ReadAsync(0, content);
        Assert.Equal(-1, content.AsSpan(0, Half).IndexOfAnyExcept((byte)0));
        Assert.Equal(-1, content.AsSpan(Half).IndexOfAnyExcept((byte)0, (byte)0x11));
        AssertChain(disk, "/disk", "/below");
    });

    [Fact]
    public void What_a_guest_discards_after_a_first_backing_file_was_not_taken_is_given_back() => _machine.Run(async () =>
    {
        var image = new NewImage { Format = "qcow2", Length = Length, Options = new Dictionary<string, string> { ["compat"] = "0.10" } }; // cannot say "zero"
        await using Disk disk = await Disk.CreateAsync("/disk", image, _machine.As("qcow2"));
        await (await Disk.CreateAsync("/below", new NewImage { Format = "raw", Length = Length }, _machine.As("raw"))).DisposeAsync();
        await disk.WriteAsync(0, Enumerable.Repeat((byte)0x11, (int)Length).ToArray());
        RebaseJob job = await disk.StartRebaseAsync("/below", new RebaseOptions { AutoFinalize = false }, _machine.As("raw"));
        job.Cancel();
        Assert.Equal(JobOutcome.Cancelled, (await job.Completion).Outcome);
        await disk.DiscardAsync(0, Length);
        Assert.False((await disk.Root.GetStatusAsync(0, Length, StatusDepth.Chain)).IsAllocated);
    });

    [Fact]
    public void What_a_write_that_failed_has_left_in_a_base_does_not_show_after_the_next_commit()
    {
        const int Unit = 64 * 1024;
        for (ulong seed = 1; seed <= 20; seed++)
        {
            var machine = new SimulatedMachine(seed);
            machine.Run(async () =>
            {
                await (await machine.CreateAsync("/base", Length)).DisposeAsync();
                var create = new NewImage { Format = "qcow2", Backing = new BackingReference("/base", "qcow2"), Options = new Dictionary<string, string> { ["cluster_size"] = "4096" } };
                await using Disk disk = await Disk.CreateAsync("/disk", create, machine.As("qcow2"));
                await disk.WriteAsync(8 * Unit, Enumerable.Repeat((byte)0x11, Unit).ToArray());
                var fault = new FaultRule { Operations = StorageOperations.Write, Path = "/base", Effect = FaultEffect.FailPartly, Range = new ByteRange(5 * Unit, 100 * Unit), Count = 1 };
                machine.Storage.Faults.Add(fault);
                Assert.Equal(JobOutcome.Failed, (await CommitAsync()).Outcome);
                Assert.Equal(1, machine.Storage.Faults.CountHits(fault));

                await disk.WriteAsync((4 * Unit) + 4096, Enumerable.Repeat((byte)0x22, 4096).ToArray());
                Assert.Equal(JobOutcome.Completed, (await CommitAsync()).Outcome);
                byte[] content = new byte[Unit];
                await disk.ReadAsync(4 * Unit, content);
                Assert.Equal(-1, content.AsSpan().IndexOfAnyExcept((byte)0, (byte)0x22));

                async Task<JobResult> CommitAsync()
                {
                    ActiveCommitJob job = await disk.StartCommitAsync(new ActiveCommitOptions { Granularity = 4096 });
                    while (!job.Completion.IsCompleted)
                    {
                        if (job.State == JobState.Ready)
                        {
                            job.Complete();
                        }

                        await machine.PassAsync(TimeSpan.FromMilliseconds(1));
                    }

                    return await job.Completion;
                }
            });
        }
    }

    // On a disk d -> c -> b -> a, after which every file that is still there can be opened to be written: nobody was left who holds one.
    private void OnChain(string format, Func<Disk, Task> test) => _machine.Run(async () =>
    {
        string? below = null;
        foreach (string path in (string[])["/a", "/b", "/c", "/d"])
        {
            string own = below is null && format == "add-cow" ? "raw" : format;
            var image = new NewImage
            {
                Format = own,
                Length = Length,
                Backing = below is null ? null : new BackingReference(below, below == "/a" && format == "add-cow" ? "raw" : format),
                Options = own == "add-cow" ? new Dictionary<string, string> { ["image_file"] = $"{path[1..]}.img" } : new Dictionary<string, string>(),
            };
            await using Disk made = await Disk.CreateAsync(path, image, _machine.As(own));
            await made.WriteAsync(path[1] * 4096, new byte[4096]);
            below = path;
        }

        string[] files;
        await using (Disk disk = await Disk.OpenAsync("/d", _machine.As(format)))
        {
            files = [.. disk.Chain.Select(static image => image.Path!)];
            await test(disk);
        }

        foreach (string file in files.Where(file => _machine.Storage.GetInfo(file) is not null))
        {
            await using BlockStorage storage = await _machine.Storage.OpenAsync(file, new StorageOpenOptions { Writable = true, Lock = ImageLock.Writer }, CancellationToken.None);
        }
    });

    private async ValueTask<BlockNode> CreateOverlayAsync(string path, string backing)
    {
        var create = new NewImage { Format = "qcow2", Length = Length, Backing = new BackingReference(backing, "qcow2"), Verification = BackingVerification.None };
        await new ImageCreator(BuiltInFormats.All, _machine.Environment).CreateAsync(path, create, OpenPolicy.Default, CancellationToken.None);
        return await new ImageOpener(BuiltInFormats.All, _machine.Environment).OpenAsync(
            path, new ImageOpenOptions { Format = "qcow2", Access = NodeAccess.ReadWrite, Backing = BackingMode.Ignore }, CancellationToken.None);
    }

    private static async Task RefusedAsync(ValueTask<MirrorJob> start, string message)
    {
        BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(() => start.AsTask());
        Assert.Equal(BlockErrorKind.Conflict, refusal.Kind);
        Assert.Contains(message, refusal.Message, StringComparison.Ordinal);
    }

    private static async Task<BlockErrorKind?> RefusalOfAsync(ValueTask call)
    {
        try
        {
            await call;
            return null;
        }
        catch (BlockLayerException refusal)
        {
            return refusal.Kind;
        }
    }

    private static void AssertChain(Disk disk, params string[] paths) => Assert.Equal(paths, disk.Chain.Select(static image => image.Path!));
}
