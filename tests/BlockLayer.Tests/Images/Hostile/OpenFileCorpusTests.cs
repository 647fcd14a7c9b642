using System.Buffers.Binary;
using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.CowOverlay;
using BlockLayer.TestKit.Formats.Qcow2;
using BlockLayer.TestKit.Hostile;
using BlockLayer.Tests.Images.Hostile.Structures;
using Xunit;
using static BlockLayer.Tests.Images.Hostile.Qcow2Bytes;

namespace BlockLayer.Tests.Images.Hostile;

/// <summary>Lines of the corpus that a file's bytes alone do not make: files that cannot be written, grow, move, or are too large to be a row of a table.</summary>
public sealed class OpenFileCorpusTests : IDisposable
{
    private const string Image = "/vm/image";

    private readonly HostileWorld _world = new();

    public void Dispose() => _world.Dispose();

    [Fact]
    [CorpusCase("2.16 table over 64 MiB")]
    public void A_snapshot_table_that_is_longer_than_allowed_is_no_table_although_the_file_has_room_for_it()
    {
        // As many entries as are allowed, each with as much extra data: 69 MiB, all of it there.
        const int Entries = 65536;
        const int EntryLength = 40 + 1024;
        DamagedImage image = new([.. Snapshots]);
        long table = Qcow2Case.Append(image, clusters: 1);
        image.Resize(table + ((long)Entries * EntryLength));
        for (int i = 0; i < Entries; i++)
        {
            BinaryPrimitives.WriteUInt32BigEndian(image.File.AsSpan((int)table + (i * EntryLength) + 36), 1024);
        }

        image.Write32(Qcow2Case.SnapshotCountAt, Entries);
        image.Write(Qcow2Case.SnapshotsOffsetAt, (ulong)table);
        var exercise = new ImageExercise(new MeteredFiles { FileLimit = 128 << 20 });
        exercise.Files.Put(ImageExercise.ImagePath, image.File);
        exercise.Files.CallBudget = 10_000; // each request that needs the table reads it, 64 KiB a call
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.InRange(exercise.Inspect("qcow2").BytesRead, 0, ImageInspector.MaxBytesRead);
        ExerciseReport read = exercise.Read("qcow2");
        Assert.Null(read.Open ?? read.ReadAll);
        Assert.True(read is { Snapshots: 0, Damage: 1, CheckReport.CheckErrors: > 0 } or { CheckReport.Corruptions: > 0 }, "nobody is told");
        Assert.InRange(exercise.Files.BytesRead, 0, 8L * image.File.Length);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 8L * image.File.Length);
        ExerciseReport write = exercise.Write("qcow2", new Random(1));
        Assert.Equal(BlockErrorKind.Corrupt, (write.Open ?? write.Write)?.Kind);
        Assert.Equal(image.File.AsSpan(512), exercise.Files.Get(ImageExercise.ImagePath)[512..]);
    }

    [Theory]
    [InlineData(0ul)]
    [InlineData(1ul)]
    [InlineData(2ul)]
    [InlineData(3ul)]
    [CorpusCase("2.19 file that cannot be written")]
    public async Task Dirty_and_corrupt_images_are_read_where_they_cannot_be_written(ulong bits)
    {
        using var world = new HostileWorld(around: static files => new ReadOnlyFiles(files));
        byte[] image = Sound.With64(Qcow2Case.IncompatibleAt, bits);
        await world.PutAsync(Image, image);
        BlockLayerException refused = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await world.OpenAsync(Image, "qcow2", access: NodeAccess.ReadWrite));
        Assert.Equal(BlockErrorKind.ReadOnly, refused.Kind);
        await using BlockNode node = await world.OpenAsync(Image, "qcow2");
        byte[] content = new byte[node.Length];
        await node.ReadAsync(0, content);
        await ImageInfo.ReadAsync(node);
        await ImageChecker.CheckAsync(node);
        refused = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await node.WriteAsync(0, new byte[512]));
        Assert.Equal(BlockErrorKind.ReadOnly, refused.Kind);
        Assert.Equal(image, await world.GetAsync(Image));
    }

    [Fact]
    [CorpusCase("2.22 backing file changed while it is in use")]
    public async Task A_backing_file_in_use_cannot_be_opened_to_be_written()
    {
        await _world.PutAsync("/vm/base", Sound);
        await _world.PutAsync(Image, Sound.WithBacking("base", "qcow2"));
        await using BlockNode overlay = await _world.OpenAsync(Image, "qcow2", access: NodeAccess.ReadWrite);
        BlockLayerException refused = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await _world.OpenAsync("/vm/base", "qcow2", access: NodeAccess.ReadWrite));
        Assert.Equal(BlockErrorKind.Conflict, refused.Kind);
    }

    [Fact]
    [CorpusCase("2.22 backing file cut while it is in use")]
    public async Task A_backing_file_that_is_cut_under_an_overlay_fails_what_is_gone_and_nothing_of_the_overlays_own()
    {
        byte[] basis = Pattern.Of(0, 100 << 10, writer: 3);
        await _world.PutAsync("/vm/base", basis);
        await _world.PutAsync(Image, MakeOverlay());
        await using BlockNode overlay = await _world.OpenAsync(Image, "qcow2");
        await using (BlockStorage file = await _world.Memory.OpenAsync("/vm/base", new StorageOpenOptions { Writable = true }, CancellationToken.None))
        {
            await file.SetLengthAsync(50 << 10, CancellationToken.None);
        }

        byte[] found = new byte[1024];
        await overlay.ReadAsync(90 << 10, found);
        Assert.Equal(Pattern.Of(90 << 10, 1024, writer: 1), found);
        await overlay.ReadAsync(10 << 10, found);
        Assert.Equal(basis[(10 << 10)..(11 << 10)], found);
        await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await overlay.ReadAsync(60 << 10, found));
    }

    [Fact]
    [CorpusCase("4 image growing while it is open")]
    public async Task An_image_file_that_grows_while_it_is_open_changes_nothing_before_it_is_opened_again()
    {
        const int Length = 200_192;
        var world = new CowOverlayWorld();
        await world.CreateAsync(Length);
        byte[] content = Pattern.Of(0, Length, writer: 1);
        await using (BlockNode node = await world.OpenAsync())
        {
            await node.WriteAsync(0, content.AsMemory(0, 100_000));
            await world.SetLengthAsync(CowOverlayWorld.Image, 300_000);
            Assert.Equal(Length, node.Length);
            await node.WriteAsync(100_000, content.AsMemory(100_000));
            await Assert.ThrowsAnyAsync<Exception>(async () => await node.WriteAsync(Length, new byte[1]));
            byte[] found = new byte[Length];
            await node.ReadAsync(0, found);
            Assert.Equal(content, found);
        }

        byte[] after = await world.ReadDiskAsync();
        Assert.Equal(content, after[..Length]);
        Assert.True(after.AsSpan(Length).IndexOfAnyExcept((byte)0) < 0, "what grew shows something");
    }

    [Fact]
    [CorpusCase("5 names relative to a directory that moved")]
    public async Task A_chain_whose_directory_moved_is_opened_where_it_is()
    {
        await _world.PutAsync("/old/sub/base", Sound);
        await _world.PutAsync("/old/image", Sound.WithBacking("sub/base", "qcow2"));
        await using (BlockNode before = await _world.OpenAsync("/old/image", "qcow2"))
        {
            await _world.Memory.RenameAsync("/old/sub/base", "/new/sub/base", CancellationToken.None);
            await _world.Memory.RenameAsync("/old/image", "/new/image", CancellationToken.None);
            byte[] content = new byte[before.Length];
            await before.ReadAsync(0, content); // what is open stays what it is
        }

        await using BlockNode after = await _world.OpenAsync("/new/image", "qcow2");
        Assert.Equal("/new/sub/base", _world.Environment.Files.GetRealPath(after.Backing!.Path!));
        BlockLayerException gone = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await _world.OpenAsync("/old/image", "qcow2"));
        Assert.Equal(BlockErrorKind.NotFound, gone.Kind);
    }

    [Fact]
    [CorpusCase("5 node names over 31 bytes")]
    public async Task A_path_of_any_length_is_a_node_and_cut_nowhere()
    {
        string path = $"/{new string('d', 100)}/{new string('f', 100)}";
        await _world.PutAsync($"{path}base", Sound);
        await _world.PutAsync(path, Sound.WithBacking($"{new string('f', 100)}base", "qcow2"));
        await using BlockNode node = await _world.OpenAsync(path, "qcow2");
        Assert.Equal(path, node.NodeName);
        Assert.NotEqual(node.NodeName, node.Backing!.NodeName);
        Assert.Same(node.Backing, BackingChain.FindByPath(node, $"{path}base"));
    }

    [Fact]
    [CorpusCase("5 delete of a file in use")]
    public async Task A_deleted_file_is_read_and_written_to_its_end()
    {
        await _world.PutAsync(Image, Sound);
        await using (BlockNode node = await _world.OpenAsync(Image, "qcow2", access: NodeAccess.ReadWrite))
        {
            await _world.Memory.DeleteAsync(Image, CancellationToken.None);
            await node.WriteAsync(0, Pattern.Of(0, 4096, writer: 2));
            await node.FlushAsync();
            byte[] found = new byte[4096];
            await node.ReadAsync(0, found);
            Assert.Equal(Pattern.Of(0, 4096, writer: 2), found);
        }

        Assert.Null(_world.Memory.GetInfo(Image));
    }

    /// <summary>100 KiB over <c>base</c>, of which the last ten are its own.</summary>
    private static byte[] MakeOverlay()
        => SeedWorld.Make(
            Qcow2Format.Instance,
            new Qcow2CreateOptions { Length = 100 << 10, ClusterSize = 1024, Backing = new BackingReference("base", "raw") },
            static node => node.WriteAsync(90 << 10, Pattern.Of(90 << 10, 10 << 10, writer: 1)).AsTask(),
            out byte[] _);

    /// <summary>A file system that was mounted to be read.</summary>
    private sealed class ReadOnlyFiles(StorageProvider files) : StorageProvider
    {
        public override ValueTask<BlockStorage> OpenAsync(string path, StorageOpenOptions options, CancellationToken cancellationToken)
            => options.Writable
                ? ValueTask.FromException<BlockStorage>(new BlockLayerException(BlockErrorKind.ReadOnly, "The file system is mounted read-only.") { Path = path })
                : files.OpenAsync(path, options, cancellationToken);

        public override StorageFileInfo? GetInfo(string path) => files.GetInfo(path);

        public override IReadOnlyList<string> ListFiles(string directory) => files.ListFiles(directory);

        public override string GetRealPath(string path) => files.GetRealPath(path);

        public override ValueTask RenameAsync(string path, string newPath, CancellationToken cancellationToken) => files.RenameAsync(path, newPath, cancellationToken);

        public override ValueTask DeleteAsync(string path, CancellationToken cancellationToken) => files.DeleteAsync(path, cancellationToken);

        public override ValueTask FlushDirectoryAsync(string path, CancellationToken cancellationToken) => files.FlushDirectoryAsync(path, cancellationToken);
    }
}
