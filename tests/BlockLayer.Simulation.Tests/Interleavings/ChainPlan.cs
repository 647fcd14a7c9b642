using BlockLayer.Graph;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;

namespace BlockLayer.Simulation.Tests.Interleavings;

/// <summary>
/// A random chain base, middle, top: different cluster sizes, holes, zeroes, shorter images, and content that tells which image a sector came from.
/// </summary>
internal sealed class ChainPlan
{
    internal const int Base = 1;
    internal const int Middle = 2;
    internal const int Top = 3;
    internal const int FirstGuest = 10;

    private static readonly int[] s_clusterSizes = [4096, 16384, 65536, 131072];
    private readonly int[] _writers; // by sector

    internal ChainPlan(BlockEnvironment environment, SeededRandom random)
    {
        Length = ((4 + random.Next(5)) * 65536L) + (random.Next(3) * 512L);
        _writers = new int[Length / SectorStamp.Size];
        long baseLength = random.Next(3) == 0 ? random.Next((int)(Length / 512)) * 512L : Length;
        long middleLength = random.Next(3) == 0 ? random.Next((int)(Length / 512)) * 512L : Length;
        BaseNode = Make("base", baseLength, null, environment, random);
        FillRandomly(BaseNode, Base, dense: true, random);
        Probe = null!;
        MiddleNode = Make("middle", middleLength, BaseNode, environment, random);
        if (middleLength < Length)
        {
            Array.Clear(_writers, (int)(middleLength / 512), _writers.Length - (int)(middleLength / 512)); // its own zeroes cover the longer base
        }

        FillRandomly(MiddleNode, Middle, dense: false, random);
        Probe = new FetchProbe(MiddleNode, 65536);
        TopNode = Make("top", Length, Probe, environment, random);
        FillRandomly(TopNode, Top, dense: false, random);
    }

    internal long Length { get; }

    internal MemoryOverlayNode BaseNode { get; }

    internal MemoryOverlayNode MiddleNode { get; }

    internal FetchProbe Probe { get; }

    internal MemoryOverlayNode TopNode { get; }

    /// <summary>Who wrote the sector that a reader of the top sees at <paramref name="offset"/>.</summary>
    internal int WriterAt(long offset) => _writers[offset / SectorStamp.Size];

    private static MemoryOverlayNode Make(string name, long length, BlockNode? backing, BlockEnvironment environment, SeededRandom random)
        => new(name, length, s_clusterSizes[random.Next(s_clusterSizes.Length)], environment, backing);

    private void FillRandomly(MemoryOverlayNode node, int writer, bool dense, SeededRandom random)
    {
        int cluster = node.Limits.ClusterSize;
        for (long at = 0; at < node.Length; at += cluster)
        {
            int length = (int)Math.Min(cluster, node.Length - at);
            int choice = random.Next(dense ? 5 : 8);
            if (choice == 0)
            {
                node.FillZero(at, length);
                _writers.AsSpan((int)(at / 512), length / 512).Clear();
            }
            else if (choice <= (dense ? 3 : 2))
            {
                node.Fill(at, SectorStamp.Of(at, length, writer));
                _writers.AsSpan((int)(at / 512), length / 512).Fill(writer);
            }
        }
    }
}
