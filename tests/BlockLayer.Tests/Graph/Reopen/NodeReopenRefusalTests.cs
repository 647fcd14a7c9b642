using BlockLayer.Errors;
using BlockLayer.Formats.Qed;
using BlockLayer.Graph;
using BlockLayer.Simulation;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Graph.Reopen;

/// <summary>An image that cannot be made writable, or read-only again, is what it was, and so are the locks of all its files.</summary>
public sealed class NodeReopenRefusalTests
{
    private const string NotShared = "Somebody else has the image open and does not share the permission \"write\".";

    private static readonly CancellationToken s_none = CancellationToken.None;

    private readonly SimulatedStorageProvider _files = new();
    private readonly BlockEnvironment _environment;

    public NodeReopenRefusalTests() => _environment = TestEnvironment.Inline() with { Files = _files };

    public static TheoryData<string> Kinds => [.. ReopenWorld.Kinds];

    /// <summary>Those that have something to write back.</summary>
    public static TheoryData<string> Overlays => [.. ReopenWorld.Kinds.Where(static kind => !kind.Contains("raw", StringComparison.Ordinal))];

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Somebody_who_reads_one_of_its_files_excludes_a_writer(string kind)
    {
        using var world = new ReopenWorld(_environment, kind);
        byte[] content = await world.CreateAsync();
        await using BlockNode top = await world.OpenAsync();
        foreach (string file in FilesOf(world))
        {
            await using (await OpenAsync(file, ImageLock.Reader))
            {
                BlockLayerException refused = await RefusedAsync(top.Backing!);
                string which = file == world.Middle ? "" : $"its file '{file}': ";
                Assert.Equal(
                    (BlockErrorKind.Conflict, $"'/vm/middle' cannot be made writable: {which}{NotShared}", file, "/vm/middle"),
                    (refused.Kind, refused.Message, refused.Path, refused.NodeName));
                await AssertUntouchedAsync(world, top, content);
            }
        }

        await (await WritingJob.StartAsync(top.Backing!)).EndAsync();
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task A_file_that_may_not_be_written_is_named(string kind)
    {
        using var world = new ReopenWorld(_environment, kind);
        byte[] content = await world.CreateAsync();
        await using BlockNode top = await world.OpenAsync();
        foreach (string file in FilesOf(world))
        {
            _files.Faults.Add(new FaultRule { Operations = StorageOperations.Open, Path = file, Kind = BlockErrorKind.Denied, Count = 1 });
            BlockLayerException refused = await RefusedAsync(top.Backing!);
            Assert.Equal((BlockErrorKind.Denied, file), (refused.Kind, refused.Path));
            await AssertUntouchedAsync(world, top, content);
        }

        await (await WritingJob.StartAsync(top.Backing!)).EndAsync();
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task A_name_that_leads_to_another_file_by_now_is_not_followed(string kind)
    {
        using var world = new ReopenWorld(_environment, kind);
        byte[] content = await world.CreateAsync();
        await using BlockNode top = await world.OpenAsync();
        foreach (string file in FilesOf(world))
        {
            await _files.RenameAsync(file, "/vm/moved", s_none);
            Assert.Equal(BlockErrorKind.NotFound, (await RefusedAsync(top.Backing!)).Kind);
            _files.AddFile(file, _files.ReadFile("/vm/moved"));
            BlockLayerException refused = await RefusedAsync(top.Backing!);
            Assert.Equal(BlockErrorKind.Conflict, refused.Kind);
            Assert.EndsWith($"'{file}' leads to another file than the one that is open: that was renamed or replaced.", refused.Message, StringComparison.Ordinal);
            await _files.RenameAsync("/vm/moved", file, s_none);
            await AssertUntouchedAsync(world, top, content);
        }

        await (await WritingJob.StartAsync(top.Backing!)).EndAsync();
    }

    [Fact]
    public async Task An_image_that_is_marked_corrupt_can_only_be_read()
    {
        using var world = new ReopenWorld(_environment, "qcow2");
        byte[] content = await world.CreateAsync();
        await PatchAsync(world.Middle, offset: 79, 2); // incompatible_features: corrupt
        await using BlockNode top = await world.OpenAsync();
        BlockLayerException refused = await RefusedAsync(top.Backing!);
        Assert.Equal(
            (BlockErrorKind.Corrupt, "'/vm/middle' cannot be made writable: incompatible_features has the bit \"corrupt\": the image can be read, and must be repaired before it is written."),
            (refused.Kind, refused.Message));
        await AssertUntouchedAsync(world, top, content);
    }

    [Fact]
    public async Task An_image_file_that_was_cut_can_only_be_read()
    {
        using var world = new ReopenWorld(_environment, "add-cow");
        byte[] content = await world.CreateAsync();
        await using (BlockStorage data = await _files.OpenAsync(world.MiddleData!, new StorageOpenOptions { Writable = true }, s_none))
        {
            await data.SetLengthAsync(ReopenWorld.MiddleLength - 5000, s_none);
        }

        content.AsSpan(ReopenWorld.MiddleLength - 5000, 5000).Clear();
        await using BlockNode top = await world.OpenAsync();
        Assert.Equal(BlockErrorKind.Corrupt, (await RefusedAsync(top.Backing!)).Kind);
        await AssertUntouchedAsync(world, top, content);
    }

    [Fact]
    public async Task An_image_that_was_not_closed_cleanly_is_checked_as_when_it_is_opened_to_write()
    {
        using var world = new ReopenWorld(_environment, "qed");
        byte[] content = await world.CreateAsync();
        await PatchAsync(world.Middle, offset: 16, 7); // features: a raw backing file, and need_check
        await using BlockNode top = await world.OpenAsync();
        var middle = (QedNode)top.Backing!;
        WritingJob job = await WritingJob.StartAsync(middle);
        Assert.True(middle.Header.NeedsCheck);
        await job.EndAsync();
        Assert.False(middle.Header.NeedsCheck);
        await AssertUntouchedAsync(world, top, content);
    }

    [Theory]
    [MemberData(nameof(Overlays))]
    public async Task What_cannot_be_written_back_keeps_the_image_writable_until_it_can(string kind)
    {
        using var world = new ReopenWorld(_environment, kind);
        byte[] content = await world.CreateAsync();
        await using BlockNode top = await world.OpenAsync();
        BlockNode middle = top.Backing!;
        NodeReopen reopen = await WritingJob.MakeWritableAsync(middle);
        await middle.PopulateAsync(393_216, content.AsMemory(393_216, 65_536));
        var outage = new FaultRule { Operations = StorageOperations.Write, Path = world.Middle };
        _files.Faults.Add(outage);
        for (int attempt = 0; attempt < 2; attempt++)
        {
            Assert.Equal(BlockErrorKind.Io, (await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await WritingJob.RestoreAsync(reopen, middle))).Kind);
            Assert.False(middle.IsReadOnly);
            Assert.Equal(BlockErrorKind.Conflict, (await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync(world.Middle, ImageLock.Reader))).Kind);
            Assert.Equal(content, await ReopenWorld.ReadAllAsync(top));
        }

        _files.Faults.Clear();
        await WritingJob.RestoreAsync(reopen, middle);
        await AssertUntouchedAsync(world, top, content);
        await using BlockNode alone = await world.OpenMiddleAsync();
        Assert.Equal(393_216 + 65_536, await AllocatedEndAsync(alone, 393_216));
    }

    [Fact]
    public async Task It_cannot_be_restored_under_somebody_who_writes_it()
    {
        using var world = new ReopenWorld(_environment, "qcow2");
        await world.CreateAsync();
        await using BlockNode top = await world.OpenAsync();
        BlockNode middle = top.Backing!;
        NodeReopen reopen = await WritingJob.MakeWritableAsync(middle);
        middle.AddReference();
        var writer = new PassThroughNode(middle, ImagePermissions.ConsistentRead | ImagePermissions.WriteUnchanged, ImagePermissions.All);
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(async () => await WritingJob.RestoreAsync(reopen, middle));
        Assert.Equal(
            (BlockErrorKind.Conflict, "'/vm/middle' cannot become read-only: 'pass-through of /vm/middle' needs WriteUnchanged on it."),
            (refused.Kind, refused.Message));
        await writer.Filtered.PopulateAsync(0, new byte[65536], s_none);
        await writer.DisposeAsync();
        await WritingJob.RestoreAsync(reopen, middle);
        Assert.True(middle.IsReadOnly);
    }

    [Fact]
    public async Task Where_nothing_above_may_be_written_neither_is_it()
    {
        using var world = new ReopenWorld(_environment, "qcow2");
        byte[] content = await world.CreateAsync();
        await using BlockNode top = await world.OpenAsync(NodeAccess.ReadOnly);
        BlockLayerException refused = await RefusedAsync(top.Backing!);
        Assert.Equal(
            (BlockErrorKind.ReadOnly, "'/vm/middle' is open read-only, and so is everything above it: open the disk for writing to have its images written."),
            (refused.Kind, refused.Message));
        await AssertUntouchedAsync(world, top, content);
    }

    private static string[] FilesOf(ReopenWorld world) => world.MiddleData is { } data ? [world.Middle, data] : [world.Middle];

    private static Task<BlockLayerException> RefusedAsync(BlockNode image)
        => Assert.ThrowsAsync<BlockLayerException>(async () => await WritingJob.MakeWritableAsync(image));

    private static async Task<long> AllocatedEndAsync(BlockNode image, long offset)
    {
        BlockStatus status = await image.GetStatusAsync(offset, image.Length - offset, StatusDepth.Node);
        return status.IsAllocated ? offset + status.Length : offset;
    }

    /// <summary>Read-only, the same content, and with the locks of a reader: other readers come in, writers do not.</summary>
    private async Task AssertUntouchedAsync(ReopenWorld world, BlockNode top, byte[] content)
    {
        Assert.True(top.Backing!.IsReadOnly);
        Assert.Equal(content, await ReopenWorld.ReadAllAsync(top));
        foreach (string file in FilesOf(world))
        {
            await (await OpenAsync(file, ImageLock.Reader)).DisposeAsync();
            Assert.Equal(BlockErrorKind.Conflict, (await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync(file, ImageLock.Writer))).Kind);
        }
    }

    private ValueTask<BlockStorage> OpenAsync(string file, ImageLock imageLock)
        => _files.OpenAsync(file, new StorageOpenOptions { Writable = imageLock == ImageLock.Writer, Lock = imageLock }, s_none);

    private async Task PatchAsync(string file, long offset, byte value)
    {
        await using BlockStorage storage = await _files.OpenAsync(file, new StorageOpenOptions { Writable = true }, s_none);
        await storage.WriteAsync(offset, new[] { value }, s_none);
    }
}
