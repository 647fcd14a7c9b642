using System.Buffers.Binary;
using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2;

/// <summary>
/// Images whose tables hold garbage: whatever is asked of them is done or refused with an error of the family, in bounded time, and what is checked as sound is sound to write.
/// </summary>
public sealed class Qcow2GarbageTests
{
    private const int ClusterSize = 1024;
    private const int Length = 300 * ClusterSize;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task Garbage_in_the_tables_gives_typed_errors_and_nothing_else(int seed)
    {
        var random = new Random(seed);
        byte[] sound = await CreateAsync();
        for (int round = 0; round < 150; round++)
        {
            byte[] file = [.. sound];
            for (int damages = random.Next(1, 6); damages > 0; damages--)
            {
                Damage(file, random);
            }

            var world = new TestWorld();
            await using (StorageNode node = await world.OpenFileAsync("disk", StorageOpenMode.CreateOrTruncate))
            {
                await node.ResizeAsync(file.Length);
                await node.WriteAsync(0, file);
            }

            await UseAsync(world, random, NodeAccess.ReadOnly);
            await UseAsync(world, random, NodeAccess.ReadWrite);
        }
    }

    // Entries are eight bytes; what they are replaced by is mostly almost right, which is worse than noise.
    private static void Damage(byte[] file, Random random)
    {
        int at = random.Next(4) == 0 ? random.Next(104) : random.Next(file.Length / 8) * 8;
        Span<byte> word = file.AsSpan(Math.Min(at, file.Length - 8), 8);
        ulong old = BinaryPrimitives.ReadUInt64BigEndian(word);
        var somewhere = (uint)random.Next(file.Length);
        ulong changed = random.Next(6) switch
        {
            0 => old ^ (1UL << random.Next(64)),
            1 => (ulong)random.NextInt64(),
            2 => somewhere / ClusterSize * ClusterSize,
            3 => 1UL << 63 | (somewhere / ClusterSize * ClusterSize),
            4 => 1UL << 62 | somewhere,
            _ => 0,
        };
        BinaryPrimitives.WriteUInt64BigEndian(word, changed);
    }

    private static async ValueTask UseAsync(TestWorld world, Random random, NodeAccess access)
    {
        Qcow2Node? node = null;
        if (!await IsTypedAsync(async () => node = await world.OpenAsync("disk", access)) || node is null)
        {
            return;
        }

        byte[] buffer = new byte[8 * ClusterSize];
        for (int i = 0; i < 25 && node.Length > 0; i++)
        {
            long offset = random.NextInt64(Math.Max(1, Math.Min(node.Length, 4L * Length) - buffer.Length));
            int length = (int)Math.Min(random.Next(1, buffer.Length), node.Length - offset);
            await IsTypedAsync(() => random.Next(access == NodeAccess.ReadOnly ? 2 : 7) switch
            {
                0 => node.ReadAsync(offset, buffer.AsMemory(0, length)),
                1 => DiscardResultAsync(node.GetStatusAsync(offset, length, StatusDepth.Node)),
                2 => node.WriteZeroesAsync(offset, length),
                3 => node.DiscardAsync(offset, length),
                4 => node.FlushAsync(),
                _ => node.WriteAsync(offset, Pattern.Of(offset, length, writer: 2)),
            });
        }

        await IsTypedAsync(async () => await ImageChecker.CheckAsync(node));
        await IsTypedAsync(() => node.DisposeAsync());
    }

    private static async ValueTask DiscardResultAsync(ValueTask<BlockStatus> question) => await question;

    /// <summary>True when the request succeeded; false when it failed as it may.</summary>
    private static async ValueTask<bool> IsTypedAsync(Func<ValueTask> request)
    {
        try
        {
            await request();
            return true;
        }
        catch (BlockLayerException)
        {
            return false;
        }
    }

    private static async ValueTask<byte[]> CreateAsync()
    {
        var world = new TestWorld();
        await world.CreateAsync("disk", new Qcow2CreateOptions { Length = Length, ClusterSize = ClusterSize, RefcountBits = 8 });
        await using (Qcow2Node node = await world.OpenAsync("disk"))
        {
            await node.WriteAsync(0, Pattern.Of(0, 100 * ClusterSize, writer: 1));
            await node.WriteAsync(150 * ClusterSize, new byte[20 * ClusterSize], WriteFlags.Compressed);
            await node.WriteZeroesAsync(20 * ClusterSize, 10 * ClusterSize);
        }

        await using StorageNode file = await world.OpenFileAsync("disk");
        byte[] bytes = new byte[file.Length];
        await file.ReadAsync(0, bytes);
        return bytes;
    }
}
