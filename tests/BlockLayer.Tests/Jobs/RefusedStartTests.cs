using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Simulation;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>Work on a chain that is refused when one of its images was made writable already, which cannot be made read-only again: the caller learns first why it was refused.</summary>
public sealed class RefusedStartTests
{
    private const long Length = 1 << 20;
    private const string NoRight = "'/a' cannot be made writable: Injected fault: Open failed.";

    private readonly SimulatedMachine _machine = new();

    // The first write to '/b' is for a commit: the image forgets what it stands on, because that is to be written. The next one would note it anew.
    [Theory]
    [InlineData("pull", StorageOperations.Flush, 0, BlockErrorKind.OutOfRange, "The cursor is 1048577; '/b' has the positions 0 to 1048576.")]
    [InlineData("commit job", StorageOperations.Write, 1, BlockErrorKind.Denied, NoRight)]
    [InlineData("active commit", StorageOperations.Write, 1, BlockErrorKind.Denied, NoRight)]
    [InlineData("commit", StorageOperations.Write, 1, BlockErrorKind.Denied, NoRight)]
    public void What_cannot_be_given_back_is_told_beside_the_reason_and_hides_it_not(string work, StorageOperations failing, int skip, BlockErrorKind kind, string reason)
        => _machine.Run(async () =>
        {
            Disk disk = await OpenAsync();
            _machine.Storage.Faults.Add(new FaultRule { Operations = StorageOperations.Open, Path = "/a", Kind = BlockErrorKind.Denied });
            _machine.Storage.Faults.Add(new FaultRule { Operations = failing, Path = "/b", Skip = skip });
            BlockLayerException told = await Assert.ThrowsAsync<BlockLayerException>(() => StartAsync(work, disk));
            Assert.Equal((kind, $"{reason} What was begun is not all undone: '/b': Injected fault: {failing} failed."), (told.Kind, told.Message));
            Assert.Equal(reason, Assert.IsType<BlockLayerException>(told.InnerException).Message);
            _machine.Storage.Faults.Clear();
            Exception? failure = await Record.ExceptionAsync(async () => await disk.DisposeAsync());
            Assert.Equal(failing == StorageOperations.Flush, failure is BlockLayerException { Kind: BlockErrorKind.Io }); // a flush that failed is final for its file
        });

    private static Task StartAsync(string work, Disk disk) => work switch
    {
        "pull" => disk.StartPullAsync(new StreamOptions { Top = disk.Chain[1], Cursor = Length + 1 }).AsTask(),
        "commit job" => disk.StartCommitAsync(new CommitOptions { Top = disk.Chain[1] }).AsTask(),
        "active commit" => disk.StartCommitAsync(new ActiveCommitOptions()).AsTask(),
        _ => ImageCommitter.CommitAsync(disk.Root, disk.Chain[2]).AsTask(),
    };

    private async Task<Disk> OpenAsync()
    {
        await (await _machine.CreateAsync("/a", Length)).DisposeAsync();
        var verifier = new NewImage
        {
            Format = "add-cow",
            Length = Length,
            Backing = new BackingReference("/a", "qcow2"),
            Options = new Dictionary<string, string> { ["image_file"] = "b.data" },
        };
        await (await Disk.CreateAsync("/b", verifier, _machine.As("add-cow"))).DisposeAsync();
        var newest = new NewImage { Format = "qcow2", Length = Length, Backing = new BackingReference("/b", "add-cow") };
        return await Disk.CreateAsync("/c", newest, _machine.As("qcow2"));
    }
}
