using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Simulation;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Images;

/// <summary>Overlays put on running disks: on all of them or on none, and what becomes of the images below.</summary>
public sealed class DiskSnapshotTests
{
    private const int Length = 1 << 20;

    private readonly SimulatedStorageProvider _files = new();
    private readonly BlockEnvironment _environment;

    public DiskSnapshotTests()
    {
        _environment = SimulatedEnvironment.Inline(_files);
        _files.AddFile("/vm/base", Filled(1));
        _files.AddFile("/vm/other", Filled(2));
    }

    private DiskOptions Raw => new() { Format = "raw", Environment = _environment };

    [Theory]
    [InlineData("qcow2", "/vm/overlay", "base")]
    [InlineData("qed", "/vm/overlay", "base")]
    [InlineData("qcow2", "/snapshots/overlay", "/vm/base")]
    public async Task The_image_below_keeps_what_the_disk_held_and_the_overlay_takes_what_is_written(string format, string path, string name)
    {
        _files.AddFile("/snapshots/marker", []);
        await using (Disk disk = await Disk.OpenAsync("/vm/base", Raw))
        {
            await disk.WriteAsync(0, Filled(3, 512));
            await disk.SwitchAsync(path, new OverlayOptions { Format = format });
            await disk.WriteAsync(4096, Filled(4, 512));

            Assert.Equal([path, "/vm/base"], disk.Chain.Select(image => image.Path!));
            Assert.Equal(name, disk.Chain[0].BackingReference?.Name);
            Assert.Equal((byte)3, (await ReadAsync(disk, 0))[0]);
            Assert.Equal((byte)4, (await ReadAsync(disk, 4096))[0]);
            Assert.Equal((byte)1, (await ReadAsync(disk, 8192))[0]);
            Assert.True(disk.Chain[1].IsReadOnly);
            Assert.Equal((byte)3, _files.ReadFile("/vm/base")[0]);
            Assert.Equal((byte)1, _files.ReadFile("/vm/base")[4096]);
        }

        var policy = OpenPolicy.Default with { AllowedRoots = ["/vm"] };
        await using Disk again = await Disk.OpenAsync(path, new DiskOptions { Environment = _environment, Policy = policy });
        Assert.Equal((byte)4, (await ReadAsync(again, 4096))[0]);
    }

    // By its add-cow file the one is named, and the other notes what it was put on.
    [Theory]
    [InlineData("add-cow", "qcow2")]
    [InlineData("add-cow", "add-cow")]
    [InlineData("qcow2", "add-cow")]
    [InlineData("raw", "add-cow")]
    public async Task A_disk_goes_on_over_an_add_cow_overlay_or_with_one(string below, string above)
    {
        byte[] content = Filled(1);
        await using (Disk disk = await OpenOverBaseAsync(below))
        {
            Filled(3, 9000).CopyTo(content, 70_000);
            await disk.WriteAsync(70_000, Filled(3, 9000));
            await disk.SwitchAsync("/vm/overlay", New(above, "overlay"));
            Filled(4, 700).CopyTo(content, 75_000);
            await disk.WriteAsync(75_000, Filled(4, 700));
            Assert.Equal(content, await ReadAsync(disk, 0, Length));
        }

        await using (Disk again = await Disk.OpenAsync("/vm/overlay", new DiskOptions { Environment = _environment }))
        {
            Assert.Equal((above, below), (again.Chain[0].DriverName, again.Chain[0].BackingReference!.Format));
            Assert.Equal(content, await ReadAsync(again, 0, Length));
            Assert.Equal(JobOutcome.Completed, (await (await again.StartPullAsync()).Completion).Outcome);
            Assert.Equal(content, await ReadAsync(again, 0, Length));
        }
    }

    [Fact]
    public async Task An_add_cow_overlay_knows_what_it_was_put_on()
    {
        await using (Disk disk = await Disk.OpenAsync("/vm/base", Raw))
        {
            await disk.WriteAsync(0, Filled(3, 512));
            await disk.SwitchAsync("/vm/overlay", New("add-cow", "overlay"));
            await disk.WriteAsync(70_144, Filled(4, 512)); // where no sample is taken
        }

        await using (Disk disk = await Disk.OpenAsync("/vm/base", Raw))
        {
            await disk.WriteAsync(0, Filled(5, 512));
            string because = "'/vm/base' is not the backing file that '/vm/overlay' was written over: its content is another. Put the original back; "
                + "clusters that were never written to the overlay exist nowhere else.";
            Assert.Equal(because, (await RefusedAsync([new DiskOverlay(disk, "/vm/overlay", New("add-cow", "overlay") with { Source = OverlaySource.Existing })])).Message);
            await disk.WriteAsync(0, Filled(3, 512));
            await disk.WriteAsync(70_144, Filled(4, 512));
            await disk.SwitchAsync("/vm/overlay", New("add-cow", "overlay") with { Source = OverlaySource.Existing });
        }
    }

    [Fact]
    public async Task A_refused_snapshot_leaves_no_file_of_its_overlays()
    {
        await using Disk one = await Disk.OpenAsync("/vm/base", Raw);
        await using Disk other = await OpenOverBaseAsync("add-cow", "other");
        string[] before = [.. _files.Paths];
        BlockLayerException refusal = await RefusedAsync([new DiskOverlay(one, "/vm/first", New("add-cow", "first")), new DiskOverlay(other, "/vm/second", New("qed", "second"))]);
        Assert.Equal("A QED header cannot say that the backing file's format is add-cow; it knows raw, qcow2 and qed.", refusal.Message);
        Assert.Equal(before, _files.Paths);
        await AssertUntouchedAsync(one);
    }

    [Fact]
    public async Task Others_may_read_the_image_below_from_then_on_and_nobody_writes_it()
    {
        await using Disk disk = await Disk.OpenAsync("/vm/base", Raw);
        await Assert.ThrowsAsync<BlockLayerException>(OpenToReadAsync);
        await disk.SwitchAsync("/vm/overlay");
        await (await OpenToReadAsync()).DisposeAsync();
        BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(async () => await Disk.OpenAsync("/vm/base", Raw));
        Assert.Equal(BlockErrorKind.Conflict, refusal.Kind);

        async Task<Disk> OpenToReadAsync() => await Disk.OpenAsync("/vm/base", Raw with { Access = NodeAccess.ReadOnly });
    }

    [Fact]
    public async Task All_disks_are_switched_or_none()
    {
        await using Disk one = await Disk.OpenAsync("/vm/base", Raw);
        await using Disk other = await Disk.OpenAsync("/vm/other", Raw);
        _files.AddFile("/vm/taken", [1]);
        BlockLayerException refusal = await RefusedAsync([new DiskOverlay(one, "/vm/first"), new DiskOverlay(other, "/vm/taken")]);
        Assert.Equal("'/vm/taken' exists; an overlay that is to be used as it is has to be announced as existing.", refusal.Message);
        Assert.Null(_files.GetInfo("/vm/first"));
        Assert.Equal(new byte[] { 1 }, _files.ReadFile("/vm/taken"));
        await AssertUntouchedAsync(one);
        await AssertUntouchedAsync(other);

        await DiskSnapshot.TakeAsync([new DiskOverlay(one, "/vm/first"), new DiskOverlay(other, "/vm/second")]);
        Assert.Equal(["/vm/first", "/vm/base"], one.Chain.Select(image => image.Path!));
        Assert.Equal(["/vm/second", "/vm/other"], other.Chain.Select(image => image.Path!));
    }

    [Fact]
    public async Task An_overlay_that_cannot_be_removed_again_hides_no_reason_and_keeps_nothing_of_the_others()
    {
        await using Disk one = await Disk.OpenAsync("/vm/base", Raw);
        await using Disk other = await Disk.OpenAsync("/vm/other", Raw);
        _files.AddFile("/vm/third", Filled(3));
        await using Disk third = await Disk.OpenAsync("/vm/third", Raw);
        _files.AddFile("/vm/taken", [1]);
        _files.Faults.Add(new FaultRule { Operations = StorageOperations.Delete, Path = "/vm/one", Count = 1 });

        BlockLayerException refusal = await RefusedAsync([new(one, "/vm/one"), new(other, "/vm/two"), new(third, "/vm/taken")]);

        Assert.Equal((BlockErrorKind.Conflict, "/vm/taken"), (refusal.Kind, refusal.Path));
        Assert.Equal(["/vm/base", "/vm/other", "/vm/third"], _files.LockedFiles.Order());
        Assert.Null(_files.GetInfo("/vm/two"));
        await AssertUntouchedAsync(one);
        await AssertUntouchedAsync(other);
    }

    // The record says so, and an overlay that somebody removed would take what guests write with it.
    [Fact]
    public async Task A_snapshot_is_taken_although_an_image_below_cannot_be_made_read_only_and_that_is_told()
    {
        DiskOptions raw = Raw with { Environment = _environment with { Files = new HookedStorageProvider(_files, "/vm/base", new StuckLock()) } };
        await using (Disk one = await Disk.OpenAsync("/vm/base", raw))
        await using (Disk other = await Disk.OpenAsync("/vm/other", raw))
        {
            DiskSnapshotResult taken = await DiskSnapshot.TakeAsync([new(one, "/vm/one"), new(other, "/vm/two")]);
            Assert.Equal((StuckLock.Message, "/vm/base"), (taken.Error?.Message, (taken.Error as BlockLayerException)?.Path));
            Assert.Equal((2, 2), (one.Chain.Count, other.Chain.Count));
            Assert.True(other.Chain[1].IsReadOnly, "the other disk's image is given to readers all the same");
            await one.WriteAsync(0, Filled(4, 512));
            Assert.Equal(BlockErrorKind.Conflict, (await Assert.ThrowsAsync<BlockLayerException>(OpenToReadAsync)).Kind);
            Assert.Null((await one.SwitchAsync("/vm/three")).Error);
        }

        Assert.Equal((byte)1, _files.ReadFile("/vm/base")[0]);
        await using Disk again = await Disk.OpenAsync("/vm/three", new DiskOptions { Environment = _environment });
        Assert.Equal((byte)4, (await ReadAsync(again, 0))[0]);

        async Task<Disk> OpenToReadAsync() => await Disk.OpenAsync("/vm/base", Raw with { Access = NodeAccess.ReadOnly });
    }

    [Fact]
    public async Task A_disk_whose_files_cannot_be_given_to_readers_is_refused_before_anything_is_switched()
    {
        var files = new MeteredFiles(); // of somebody else: without locks that change
        files.Put("/vm/base", Filled(1));
        await using Disk disk = await Disk.OpenAsync("/vm/base", Raw with { Environment = new BlockEnvironment { Files = files, Work = _environment.Work, Time = _environment.Time } });
        BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(() => disk.SwitchAsync("/vm/overlay").AsTask());
        Assert.Equal(BlockErrorKind.Unsupported, refusal.Kind);
        await AssertUntouchedAsync(disk);
        Assert.Null(files.GetInfo("/vm/overlay"));
    }

    [Fact]
    public async Task A_record_that_fails_leaves_every_disk_as_it_was()
    {
        await using Disk disk = await Disk.OpenAsync("/vm/base", Raw);
        await Assert.ThrowsAsync<InvalidDataException>(async () => await DiskSnapshot.TakeAsync([new DiskOverlay(disk, "/vm/overlay")], _ => throw new InvalidDataException()));
        Assert.Null(_files.GetInfo("/vm/overlay"));
        await AssertUntouchedAsync(disk);
        await disk.SwitchAsync("/vm/overlay");
    }

    [Fact]
    public async Task While_it_is_recorded_everything_written_is_durable_and_guests_wait()
    {
        await using Disk disk = await Disk.OpenAsync("/vm/base", Raw);
        await disk.WriteAsync(0, Filled(3, 512));
        Task? late = null;
        await DiskSnapshot.TakeAsync([new DiskOverlay(disk, "/vm/overlay")], _ =>
        {
            Assert.Empty(_files.Volume.Names["/vm/base"].Completed); // nothing that a crash could lose
            late = disk.WriteAsync(4096, Filled(4, 512), cancellationToken: CancellationToken.None).AsTask();
            Assert.False(late.IsCompleted);
            return ValueTask.CompletedTask;
        });
        await late!;
        Assert.Equal((byte)1, _files.ReadFile("/vm/base")[4096]);
        Assert.Equal((byte)4, (await ReadAsync(disk, 4096))[0]);
    }

    [Fact]
    public async Task An_existing_overlay_is_taken_if_the_disk_shows_the_same_with_it()
    {
        var image = new NewImage { Format = "qcow2", Length = Length, Backing = new BackingReference("base", "raw") };
        await using (Disk made = await Disk.CreateAsync("/vm/current", image, new DiskOptions { Environment = _environment }))
        {
            await made.WriteAsync(65536, Filled(1, 4096)); // the same
        }

        await using Disk disk = await Disk.OpenAsync("/vm/base", Raw);
        await disk.WriteAsync(65536 + 1024, Filled(9, 512));
        var existing = new OverlayOptions { Source = OverlaySource.Existing };
        BlockLayerException refusal = await RefusedAsync([new DiskOverlay(disk, "/vm/current", existing)]);
        Assert.Equal($"'/vm/current' holds something else than the disk at offset {65536 + 1024}.", refusal.Message);
        await AssertUntouchedAsync(disk);

        await disk.WriteAsync(65536 + 1024, Filled(1, 512));
        await disk.SwitchAsync("/vm/current", existing);
        Assert.Equal(["/vm/current", "/vm/base"], disk.Chain.Select(node => node.Path!));
    }

    [Fact]
    public async Task An_overlay_of_another_image_or_of_another_length_is_refused()
    {
        var existing = new OverlayOptions { Source = OverlaySource.Existing };
        var options = new DiskOptions { Environment = _environment };
        await (await Disk.CreateAsync("/vm/elsewhere", new NewImage { Format = "qcow2", Length = Length, Backing = new BackingReference("other", "raw") }, options)).DisposeAsync();
        await (await Disk.CreateAsync("/vm/longer", new NewImage { Format = "qcow2", Length = 2 * Length, Backing = new BackingReference("base", "raw") }, options)).DisposeAsync();
        await (await Disk.CreateAsync("/vm/alone", new NewImage { Format = "qcow2", Length = Length }, options)).DisposeAsync();
        await (await Disk.CreateAsync("/vm/qcow2", new NewImage { Format = "qcow2", Length = Length }, options)).DisposeAsync();
        var unseen = new NewImage { Format = "qcow2", Length = Length, Backing = new BackingReference("qcow2", "raw"), Verification = BackingVerification.None };
        await new ImageCreator(BuiltInFormats.All, _environment).CreateAsync("/vm/mistaken", unseen, OpenPolicy.Default);
        await using Disk disk = await Disk.OpenAsync("/vm/base", Raw);
        await using Disk second = await Disk.OpenAsync("/vm/qcow2", options);
        foreach ((string path, string message) in new[]
        {
            ("/vm/elsewhere", "'other' cannot be recorded as the backing file of '/vm/elsewhere': it has to lead to '/vm/base', but '/vm/other' is another file."),
            ("/vm/longer", $"'/vm/longer' is {2 * Length} bytes long, and the disk {Length}."),
            ("/vm/alone", "'/vm/alone' has no backing file, and is no overlay of '/vm/base'."),
        })
        {
            Assert.Equal(message, (await RefusedAsync([new DiskOverlay(disk, path, existing)])).Message);
            Assert.NotNull(_files.GetInfo(path));
        }

        Assert.Equal(
            "'/vm/mistaken' records the backing file 'qcow2' (raw), and '/vm/qcow2' is qcow2.",
            (await RefusedAsync([new DiskOverlay(second, "/vm/mistaken", existing)])).Message);
        await AssertUntouchedAsync(disk);
    }

    [Fact]
    public async Task What_cannot_take_an_overlay_is_refused()
    {
        await using Disk readOnly = await Disk.OpenAsync("/vm/base", Raw with { Access = NodeAccess.ReadOnly });
        Assert.Equal(BlockErrorKind.ReadOnly, (await RefusedAsync([new DiskOverlay(readOnly, "/vm/overlay")])).Kind);
        await using Disk disk = await Disk.OpenAsync("/vm/other", Raw);
        await Assert.ThrowsAsync<ArgumentException>(async () => await DiskSnapshot.TakeAsync([]));
        await Assert.ThrowsAsync<ArgumentException>(async () => await DiskSnapshot.TakeAsync([new DiskOverlay(disk, "/vm/a"), new DiskOverlay(disk, "/vm/b")]));
        Assert.Null(_files.GetInfo("/vm/a"));
        await AssertUntouchedAsync(disk);
    }

    [Fact]
    public async Task A_job_on_the_newest_image_refuses_it()
    {
        await using Disk disk = await Disk.OpenAsync("/vm/base", Raw);
        await disk.SwitchAsync("/vm/one");
        StreamJob pull = new(disk.Root, new StreamOptions());
        pull.Pause();
        await pull.StartAsync();
        BlockLayerException refusal = await RefusedAsync([new DiskOverlay(disk, "/vm/two")]);
        Assert.Equal("The snapshot '/vm/two' needs '/vm/one', which job 'stream' (stream) is working on.", refusal.Message);
        Assert.Null(_files.GetInfo("/vm/two"));
        pull.Cancel();
        await pull.Completion;
        await disk.SwitchAsync("/vm/two");
    }

    // The three steps of management: create, switch, stream.
    [Fact]
    public async Task A_disk_that_was_switched_can_be_pulled_and_images_below_it_committed()
    {
        await using Disk disk = await Disk.OpenAsync("/vm/base", Raw);
        for (byte i = 0; i < 4; i++)
        {
            await disk.SwitchAsync($"/vm/overlay{i}");
            await disk.WriteAsync(i * 65536, Filled((byte)(10 + i), 65536));
        }

        byte[] before = await ReadAsync(disk, 0, Length);
        CommitJob commit = await disk.StartCommitAsync(new CommitOptions { TopName = "/vm/overlay1", BaseName = "/vm/overlay0" });
        JobResult result = await commit.Completion;
        Assert.True(result.Outcome == JobOutcome.Completed, result.Error?.ToString());
        Assert.Equal(["/vm/overlay3", "/vm/overlay2", "/vm/overlay0", "/vm/base"], disk.Chain.Select(image => image.Path!));
        Assert.All(disk.Chain.Skip(1), image => Assert.True(image.IsReadOnly));

        StreamJob pull = await disk.StartPullAsync(new StreamOptions { BaseName = "/vm/base" });
        Assert.Equal(JobOutcome.Completed, (await pull.Completion).Outcome);
        Assert.Equal(["/vm/overlay3", "/vm/base"], disk.Chain.Select(image => image.Path!));
        Assert.Equal(before, await ReadAsync(disk, 0, Length));
        Assert.Equal("base", disk.Chain[0].BackingReference?.Name);
    }

    [Fact]
    public async Task A_snapshot_while_a_commit_works_below_the_newest_image()
    {
        await using Disk disk = await Disk.OpenAsync("/vm/base", Raw);
        await disk.SwitchAsync("/vm/one");
        await disk.WriteAsync(0, Filled(5, 65536));
        await disk.SwitchAsync("/vm/two");
        CommitJob job = new(disk.Root, new CommitOptions { TopName = "/vm/one" });
        job.Pause();
        await job.StartAsync();
        await disk.SwitchAsync("/vm/three");
        job.Resume();
        Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
        Assert.Equal(["/vm/three", "/vm/two", "/vm/base"], disk.Chain.Select(image => image.Path!));
        Assert.Same(disk.Chain[0], ((RootNode)disk.Root).Filtered.Child);
        Assert.All(disk.Chain.Skip(1), image => Assert.True(image.IsReadOnly));
        Assert.Equal((byte)5, (await ReadAsync(disk, 0))[0]);
        Assert.Equal((byte)5, _files.ReadFile("/vm/base")[0]);
    }

    [Fact]
    public async Task A_disk_that_fills_itself_goes_on_with_the_overlay_unless_its_clusters_are_too_large()
    {
        await using Disk disk = await Disk.OpenAsync("/vm/base", Raw with { CopyOnRead = new CopyOnReadOptions() });
        var large = new OverlayOptions { CreateOptions = new Dictionary<string, string> { ["cluster_size"] = "2M" } };
        Assert.Equal(BlockErrorKind.Conflict, (await RefusedAsync([new DiskOverlay(disk, "/vm/overlay", large)])).Kind);
        await disk.SwitchAsync("/vm/overlay");
        Assert.Equal((byte)1, (await ReadAsync(disk, 8192))[0]);
    }

    [Fact]
    public void Of_two_snapshots_at_once_one_succeeds_and_the_other_is_told_that_the_disk_has_moved_on()
    {
        for (ulong seed = 1; seed <= 40; seed++)
        {
            var machine = new SimulatedMachine(seed);
            machine.Run(async () =>
            {
                await using Disk one = await machine.CreateAsync("/vm/one", Length);
                await using Disk other = await machine.CreateAsync("/vm/two", Length);
                Task<BlockErrorKind?>[] both = [TakeAsync("a"), TakeAsync("b")];
                Assert.Single(await Task.WhenAll(both), kind => kind is null);
                Assert.Single(await Task.WhenAll(both), BlockErrorKind.Conflict);

                async Task<BlockErrorKind?> TakeAsync(string name)
                {
                    try
                    {
                        await DiskSnapshot.TakeAsync([new DiskOverlay(one, $"/vm/one-{name}"), new DiskOverlay(other, $"/vm/two-{name}")]);
                        return null;
                    }
                    catch (BlockLayerException refusal)
                    {
                        return refusal.Kind;
                    }
                }
            });
        }
    }

    private static OverlayOptions New(string format, string name) => new() { Format = format, CreateOptions = OptionsOf(format, name) };

    private static Dictionary<string, string> OptionsOf(string format, string name)
        => format == "add-cow" ? new Dictionary<string, string> { ["image_file"] = name + ".img" } : [];

    // A disk that shows the file, in an image of the format on top of it; the file itself where the format is raw.
    private async Task<Disk> OpenOverBaseAsync(string format, string file = "base")
        => format == "raw"
            ? await Disk.OpenAsync("/vm/" + file, Raw)
            : await Disk.CreateAsync(
                "/vm/current",
                new NewImage { Format = format, Backing = new BackingReference(file, "raw"), Options = OptionsOf(format, "current") },
                new DiskOptions { Environment = _environment });

    private static byte[] Filled(byte value, int length = Length) => [.. Enumerable.Repeat(value, length)];

    private static async Task<byte[]> ReadAsync(Disk disk, long offset, int length = 512)
    {
        byte[] data = new byte[length];
        await disk.ReadAsync(offset, data);
        return data;
    }

    private static async Task<BlockLayerException> RefusedAsync(DiskOverlay[] overlays)
        => await Assert.ThrowsAsync<BlockLayerException>(async () => await DiskSnapshot.TakeAsync(overlays));

    private static async Task AssertUntouchedAsync(Disk disk)
    {
        Assert.Single(disk.Chain);
        await disk.WriteAsync(0, Filled(7, 512));
        await disk.FlushAsync();
        Assert.Equal((byte)7, (await ReadAsync(disk, 0))[0]);
    }
}
