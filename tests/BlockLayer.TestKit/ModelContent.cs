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
