using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Storage;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Header;

public sealed class HeaderStoreTests
{
    private const int ClusterSize = 4096;

    private readonly TestWorld _world = new();

    // A plan leaves out bytes that are as they should be already, so it has to know how they are.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_a_change_that_failed_wrote_is_taken_back_wherever_it_was(bool inFirstSector)
    {
        await _world.CreateAsync("disk", new Qcow2CreateOptions { Length = 16 * ClusterSize, ClusterSize = ClusterSize });
        var file = new UnsureFileNode(await _world.OpenFileAsync("disk"));
        await using var node = (Qcow2Node)await Qcow2Format.Instance.OpenAsync(file, new FormatOpenContext { NodeName = "disk", Access = NodeAccess.ReadWrite }, CancellationToken.None);
        byte[] before = await ReadFirstClusterAsync(file);
        file.FailsAfterWriteTo = inFirstSector ? static at => at == 0 : static at => at is > 0 and < ClusterSize;
        var name = new BlockLayer.Graph.BackingReference(new string('n', 1000), "raw");
        await Assert.ThrowsAsync<BlockLayerException>(async () => await node.RecordBackingAsync(name, CancellationToken.None));
        Assert.NotEqual(before, await ReadFirstClusterAsync(file));
        await node.FlushAsync();
        byte[] settled = await ReadFirstClusterAsync(file);
        Assert.Equal(before[..512], settled[..512]);
        Assert.Null(Qcow2Header.Parse(settled).BackingName);
        await node.RecordBackingAsync(name, CancellationToken.None);
        Assert.Equal(name.Name, Qcow2Header.Parse(await ReadFirstClusterAsync(file)).BackingName);
        if (!inFirstSector)
        {
            Assert.Equal(before, settled);
        }
    }

    private static async Task<byte[]> ReadFirstClusterAsync(BlockNode file)
    {
        byte[] found = new byte[ClusterSize];
        await file.ReadAsync(0, found);
        return found;
    }

    /// <summary>A file that once carries out a write to some place and then does not know whether it did.</summary>
    private sealed class UnsureFileNode(BlockNode file) : FilterNode($"unsure {file.NodeName}", file, ImagePermissions.All, ImagePermissions.All)
    {
        internal Predicate<long>? FailsAfterWriteTo { get; set; }

        /// <inheritdoc/>
        public override string DriverName => "unsure";

        private protected override async ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
        {
            await base.WriteCoreAsync(offset, buffer, flags, cancellationToken);
            if (FailsAfterWriteTo?.Invoke(offset) == true)
            {
                FailsAfterWriteTo = null;
                throw new BlockLayerException(BlockErrorKind.Io, "The disk did not answer.");
            }
        }
    }
}
