using BlockLayer.Errors;
using BlockLayer.Formats.Qed;
using BlockLayer.Graph;
using BlockLayer.Simulation;
using BlockLayer.TestKit.Formats.Qed;
using BlockLayer.Tests.Images.Hostile;
using Xunit;

namespace BlockLayer.Tests.Formats.Qed;

public sealed class QedBackingNameTests
{
    private readonly SimulatedStorageProvider _files = new();
    private readonly QedWorld _world;

    public QedBackingNameTests() => _world = new QedWorld { Environment = new QedWorld().Environment with { Files = _files } };

    public static TheoryData<string?, string, bool> Formats => new()
    {
        { "raw", "raw", false },
        { "qcow2", "magic", true },
        { "qed", "magic", true },
        { null, "magic", true },
    };

    [Theory]
    [MemberData(nameof(Formats))]
    public async Task The_header_can_say_raw_and_leaves_the_rest_to_the_magic(string? format, string read, bool byMagic)
    {
        await CreateAsync(new BackingReference("base.img", format));
        await using QedNode node = await _world.OpenAsync("/disk.qed");
        Assert.Equal(new BackingReference("base.img", read == "raw" ? "raw" : null) { DecidedByMagic = byMagic }, node.BackingReference);
    }

    [Fact]
    public async Task A_recorded_name_survives_reopening_however_often_and_long()
    {
        await CreateAsync(new BackingReference("first.raw", "raw"));
        foreach (int length in new[] { 1, 1023, 5, 1023, 1022, 512, 513, 448, 1023 })
        {
            var reference = new BackingReference(new string('n', length), "raw");
            await using (QedNode node = await _world.OpenAsync("/disk.qed"))
            {
                await node.RecordBackingAsync(reference, CancellationToken.None);
                Assert.Equal(reference, node.BackingReference);
            }

            await using QedNode again = await _world.OpenAsync("/disk.qed", access: NodeAccess.ReadOnly);
            Assert.Equal(reference, again.BackingReference);
        }

        await using QedNode last = await _world.OpenAsync("/disk.qed");
        await last.RecordBackingAsync(null, CancellationToken.None);
        Assert.Null(last.BackingReference);
        Assert.False((await _world.ReadHeaderAsync("/disk.qed")).HasBacking);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task A_change_that_fails_at_either_write_leaves_the_old_name(int skip)
    {
        var old = new BackingReference("first.raw", "raw");
        await CreateAsync(old);
        await using (QedNode node = await _world.OpenAsync("/disk.qed"))
        {
            _files.Faults.Add(new FaultRule { Operations = StorageOperations.Write, Path = "/disk.qed", Skip = skip, Count = 1 });
            var changed = new BackingReference("second.qcow2", "qcow2");
            await Assert.ThrowsAsync<BlockLayerException>(async () => await node.RecordBackingAsync(changed, CancellationToken.None));
            Assert.Equal(old, node.BackingReference);
        }

        _files.Faults.Clear();
        await using QedNode again = await _world.OpenAsync("/disk.qed");
        Assert.Equal(old, again.BackingReference);
    }

    [Fact]
    public async Task What_the_header_cannot_say_is_refused_before_anything_is_written()
    {
        await CreateAsync(backing: null);
        byte[] before = await _world.ReadFileAsync("/disk.qed");
        await using QedNode node = await _world.OpenAsync("/disk.qed");
        AssertRefused(
            node,
            new BackingReference("a.vmdk", "vmdk"),
            "A QED header cannot say that the backing file's format is vmdk; it knows raw, qcow2 and qed.");
        AssertRefused(node, new BackingReference(new string('n', 1024), "raw"), "The backing file name is 1024 bytes long; QED takes 1 to 1023, without NUL.");
        AssertRefused(node, new BackingReference(string.Empty, "raw"), "The backing file name is 0 bytes long; QED takes 1 to 1023, without NUL.");
        AssertRefused(node, new BackingReference("a\0b", "raw"), "The backing file name is 3 bytes long; QED takes 1 to 1023, without NUL.");
        Assert.Equal(before, await _world.ReadFileAsync("/disk.qed"));
    }

    [Fact]
    [CorpusCase("3 backing name rewritten under an unknown compat feature")]
    public async Task A_name_is_not_changed_where_an_unknown_compat_feature_may_own_the_header_but_can_be_removed()
    {
        await CreateAsync(new BackingReference("first.raw", "raw"));
        await _world.PatchAsync("/disk.qed", 24, 0x10);
        await using QedNode node = await _world.OpenAsync("/disk.qed");
        AssertRefused(
            node,
            new BackingReference("second.raw", "raw"),
            "'/disk.qed' has compat_features 0x10, which are not known here: where its header has room for a name cannot be told.");
        await node.RecordBackingAsync(null, CancellationToken.None);
        Assert.Equal(0x10UL, (await _world.ReadHeaderAsync("/disk.qed")).CompatFeatures);
    }

    [Fact]
    public async Task A_read_only_image_records_nothing()
    {
        await CreateAsync(backing: null);
        await using QedNode node = await _world.OpenAsync("/disk.qed", access: NodeAccess.ReadOnly);
        node.ThrowIfCannotRecordBacking(null); // a job that asks makes the image writable first
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(() => node.RecordBackingAsync(null, CancellationToken.None).AsTask());
        Assert.Equal(BlockErrorKind.ReadOnly, error.Kind);
    }

    [Fact]
    public async Task Unknown_autoclear_features_go_with_the_first_change_and_not_before()
    {
        await CreateAsync(backing: null);
        await using (QedNode first = await _world.OpenAsync("/disk.qed"))
        {
            await first.WriteAsync(0, new byte[4096]);
        }

        await _world.PatchAsync("/disk.qed", 32, 0xff, 1);
        await using QedNode node = await _world.OpenAsync("/disk.qed");
        await node.ReadAsync(0, new byte[10]);
        Assert.Equal(0x1ffUL, (await _world.ReadHeaderAsync("/disk.qed")).AutoclearFeatures);
        await node.WriteAsync(0, new byte[10]); // in place: nothing is allocated
        Assert.Equal(0UL, (await _world.ReadHeaderAsync("/disk.qed")).AutoclearFeatures);
    }

    private ValueTask CreateAsync(BackingReference? backing) => _world.CreateAsync("/disk.qed", QedWorld.Small(1 << 20) with { Backing = backing });

    private static void AssertRefused(QedNode node, BackingReference reference, string message)
    {
        BlockLayerException error = Assert.Throws<BlockLayerException>(() => node.ThrowIfCannotRecordBacking(reference));
        Assert.Equal((BlockErrorKind.Unsupported, message), (error.Kind, error.Message));
    }
}
