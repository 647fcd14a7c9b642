using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Storage;
using Xunit;

namespace BlockLayer.TestKit.Formats.Qcow2;

/// <summary>
/// Every guest cluster of an image, of the active disk and of each snapshot, as far as it can be read. What could be read before a repair has to read the same
/// afterwards.
/// </summary>
internal sealed class ReadableContent
{
    private readonly List<byte[]?> _clusters = [];

    /// <summary>How many clusters cannot be read.</summary>
    public int Unreadable => _clusters.Count(static cluster => cluster is null);

    /// <summary>Reads an image without its backing file.</summary>
    public static async Task<ReadableContent> OfAsync(byte[] file)
    {
        ReadableContent content = new();
        Qcow2Header header = Qcow2Header.Parse(file);
        await content.AddDiskAsync(file, header);
        SnapshotTable snapshots;
        try
        {
            snapshots = await SnapshotTableLoader.LoadAsync(new MetadataBytes(file), header, CancellationToken.None);
        }
        catch (ImageFormatException)
        {
            return content;
        }

        foreach (SnapshotEntry snapshot in snapshots.Entries)
        {
            await content.AddDiskAsync(file, header with
            {
                L1TableOffset = snapshot.L1TableOffset,
                L1Size = snapshot.L1Size,
                VirtualSize = (long)Math.Min(snapshot.DiskSize ?? (ulong)header.VirtualSize, 2 * (ulong)header.VirtualSize), // what a damaged entry says may be anything
                SnapshotCount = 0,
            });
        }

        return content;
    }

    /// <summary>
    /// Fails unless everything that this could read is in the other content too. That may have more, or fewer, of what this could not read: snapshots of a table that
    /// could not be read are back, or gone.
    /// </summary>
    public void AssertKeptBy(ReadableContent after, string context)
    {
        for (int i = 0; i < _clusters.Count; i++)
        {
            if (_clusters[i] is { } before)
            {
                Assert.True(i < after._clusters.Count && after._clusters[i] is { } now && now.AsSpan().SequenceEqual(before), $"{context}: cluster {i} could be read and has changed");
            }
        }
    }

    private async Task AddDiskAsync(byte[] file, Qcow2Header header)
    {
        byte[] disk = [.. file];
        header.WriteTo(disk);
        long clusters = (header.VirtualSize + header.ClusterSize - 1) / header.ClusterSize;
        try
        {
            header.Validate(disk.Length);
        }
        catch (ImageFormatException)
        {
            _clusters.AddRange(Enumerable.Repeat<byte[]?>(null, (int)clusters));
            return;
        }

        var files = new MemoryStorageProvider();
        BlockStorage storage = await files.OpenAsync("disk", new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateOrTruncate }, CancellationToken.None);
        await storage.WriteAsync(0, disk, CancellationToken.None);
        var environment = new BlockEnvironment { Files = files, Work = InlineWorkScheduler.Instance, Time = TimeProvider.System };
        var context = new FormatOpenContext { NodeName = "disk", Access = NodeAccess.ReadOnly };
        await using BlockNode node = await Qcow2Format.Instance.OpenAsync(new StorageNode(storage, environment), context, CancellationToken.None);
        int piece = Math.Max(header.ClusterSize, 1 << 16);
        for (long at = 0; at < header.VirtualSize; at += piece)
        {
            byte[] bytes = new byte[Math.Min(piece, header.VirtualSize - at)];
            if (await TryReadAsync(node, at, bytes))
            {
                _clusters.AddRange(bytes.Chunk(header.ClusterSize));
                continue;
            }

            for (int i = 0; i < bytes.Length; i += header.ClusterSize)
            {
                byte[] cluster = new byte[Math.Min(header.ClusterSize, bytes.Length - i)];
                _clusters.Add(await TryReadAsync(node, at + i, cluster) ? cluster : null);
            }
        }
    }

    private static async ValueTask<bool> TryReadAsync(BlockNode node, long offset, byte[] bytes)
    {
        try
        {
            await node.ReadAsync(offset, bytes);
            return true;
        }
        catch (BlockLayerException)
        {
            return false;
        }
    }
}
