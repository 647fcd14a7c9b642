using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Primitives;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Bitmaps;

/// <summary>An image with bitmaps, opened for each change of it, and its file as bytes.</summary>
internal sealed class BitmapWorld(long capacity = long.MaxValue)
{
    internal const int ClusterSize = 4096;
    internal const int Length = 64 * ClusterSize;

    private const string Image = "disk";

    private readonly TestWorld _world = new(capacity);

    internal static async Task<List<ByteRange>> RangesAsync(BlockNode node, string name)
    {
        List<ByteRange> ranges = [];
        await foreach (ByteRange range in ImageBitmaps.ReadAsync(node, name))
        {
            ranges.Add(range);
        }

        return ranges;
    }

    internal static async Task AssertCleanAsync(Qcow2Node node)
    {
        ImageCheckReport report = await node.CheckAsync(progress: null, CancellationToken.None);
        Assert.True(report.IsClean, string.Join('\n', report.Findings));
    }

    internal ValueTask CreateAsync(Qcow2CreateOptions? options = null)
        => _world.CreateAsync(Image, options ?? new Qcow2CreateOptions { Length = Length, ClusterSize = ClusterSize });

    internal ValueTask<Qcow2Node> OpenAsync(NodeAccess access = NodeAccess.ReadWrite) => _world.OpenAsync(Image, access);

    internal ValueTask<Qcow2Node> OpenSnapshotAsync(string snapshot) => _world.OpenSnapshotAsync(Image, snapshot);

    internal ValueTask<StorageNode> OpenFileAsync() => _world.OpenFileAsync(Image);

    internal async Task ChangeAsync(Func<Qcow2Node, Task> change)
    {
        await using Qcow2Node node = await OpenAsync();
        await change(node);
    }

    internal Task<byte[]> ReadFileAsync() => _world.ReadFileAsync(Image);

    internal Task WriteFileAsync(byte[] content) => _world.WriteFileAsync(Image, content);

    internal async Task<BitmapDirectory> DirectoryAsync()
    {
        byte[] file = await ReadFileAsync();
        return await BitmapDirectory.LoadAsync(new MetadataBytes(file), Qcow2Header.Parse(file), CancellationToken.None);
    }

    /// <summary>Changes the first bitmap's entry in the file; what it became.</summary>
    internal async Task<BitmapDirectoryEntry> EditDirectoryAsync(Func<BitmapDirectoryEntry, BitmapDirectoryEntry> edit)
    {
        byte[] file = await ReadFileAsync();
        Qcow2Header header = Qcow2Header.Parse(file);
        BitmapDirectory directory = await DirectoryAsync();
        BitmapDirectoryEntry edited = edit(directory.Entries[0]);
        byte[] bytes = BitmapDirectory.ToBytes([edited, .. directory.Entries.Skip(1)]);
        bytes.CopyTo(file, directory.Range.Offset);
        var extension = new BitmapsExtension((uint)directory.Entries.Count, 0, bytes.Length, new HostOffset(directory.Range.Offset));
        (header with { Extensions = header.Extensions.With(extension.ToExtension()) }).WriteTo(file);
        await WriteFileAsync(file);
        return edited;
    }
}
