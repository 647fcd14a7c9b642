using BlockLayer.Graph;
using BlockLayer.Primitives;
using Xunit;

namespace BlockLayer.TestKit;

/// <summary>What a node holds, compared with a model of it that is kept in an array.</summary>
internal static class ModelContent
{
    /// <summary>Reads everything and compares.</summary>
    /// <param name="node">The node.</param>
    /// <param name="model">What it should hold.</param>
    /// <param name="when">For the message.</param>
    internal static async Task AssertReadsAsync(BlockNode node, byte[] model, string when)
    {
        Assert.Equal(model.Length, node.Length);
        byte[] found = new byte[model.Length];
        await node.ReadAsync(0, found);
        int difference = found.AsSpan().CommonPrefixLength(model);
        Assert.True(difference == model.Length, $"differs from the model at byte {difference} {when}");
    }

    /// <summary>Changes node and model alike: 120 random writes, zeroes, discards, flushes and resizes by sectors, small ones and some over several clusters.</summary>
    /// <param name="node">Holds what the model says.</param>
    /// <param name="model">The model; a changed one is returned.</param>
    /// <param name="seed">Decides what is done.</param>
    /// <param name="mayShrink">Whether the disk becomes shorter too.</param>
    internal static async Task<byte[]> ChangeRandomlyAsync(BlockNode node, byte[] model, int seed, bool mayShrink)
    {
        await AssertReadsAsync(node, model, "before it is changed");
        model = [.. model];
        var random = new Random(seed);
        for (int i = 1; i <= 120; i++)
        {
            int offset = random.Next(model.Length);
            int length = random.Next(1, Math.Min(i % 3 == 0 ? 150_000 : 5000, model.Length - offset) + 1);
            switch (random.Next(7))
            {
                case 0:
                    await node.WriteZeroesAsync(offset, length, random.Next(2) == 0 ? ZeroFlags.MayUnmap : ZeroFlags.None);
                    model.AsSpan(offset, length).Clear();
                    break;
                case 1:
                    await node.DiscardAsync(offset, length);
                    await TakeOverDiscardAsync(node, model, offset, length);
                    break;
                case 2:
                    int sectors = mayShrink && random.Next(2) == 0 ? -random.Next(1, 200) : random.Next(1, 300);
                    Array.Resize(ref model, model.Length + (512 * sectors));
                    await node.ResizeAsync(model.Length, new ResizeOptions { AllowShrink = mayShrink });
                    break;
                case 3:
                    await node.FlushAsync();
                    break;
                default:
                    Pattern.Fill(model.AsSpan(offset, length), offset, writer: i);
                    await node.WriteAsync(offset, model.AsMemory(offset, length));
                    break;
            }
        }

        return model;
    }

    /// <summary>After a discard each byte is as before or zero; the model takes over which.</summary>
    internal static async Task TakeOverDiscardAsync(BlockNode node, byte[] model, int offset, int length)
    {
        byte[] found = new byte[length];
        await node.ReadAsync(offset, found);
        for (int i = 0; i < length; i++)
        {
            Assert.True(found[i] == 0 || found[i] == model[offset + i], $"byte {offset + i} is neither old nor zero after a discard");
        }

        found.CopyTo(model, offset);
    }

    /// <summary>Stores what a streamer would: whole clusters of what the base has, zeroes past its end.</summary>
    internal static async Task PopulateAsync(BlockNode node, byte[] backing, int offset, int length, int clusterSize)
    {
        int first = offset & -clusterSize;
        int end = (int)Math.Min(Alignment.RoundUp(offset + length, clusterSize), node.Length);
        byte[] copy = new byte[end - first];
        int present = Math.Clamp(backing.Length - first, 0, copy.Length);
        backing.AsSpan(Math.Min(first, backing.Length), present).CopyTo(copy);
        if (present == 0)
        {
            await node.PopulateZeroesAsync(first, copy.Length);
        }
        else
        {
            // Where the disk was shorter once, an overlay may hide the base: a streamer would not offer it there, and the bit is set.
            await node.PopulateAsync(first, copy);
        }
    }
}
