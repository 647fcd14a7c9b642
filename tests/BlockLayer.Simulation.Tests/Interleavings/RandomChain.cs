using BlockLayer.Graph;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;

namespace BlockLayer.Simulation.Tests.Interleavings;

/// <summary>
/// A chain of several images: different cluster sizes, holes, zeroes, shorter and longer ones in any order, and content that tells which image a sector came from.
/// </summary>
internal sealed class RandomChain
{
    private static readonly int[] s_clusterSizes = [4096, 16384, 65536, 131072];
    private readonly int[] _writers; // by sector, of what the newest image shows

    internal RandomChain(BlockEnvironment environment, SeededRandom random, int count)
    {
        long length = ((4 + random.Next(5)) * 65536L) + (random.Next(3) * 512L);
        _writers = new int[length / SectorStamp.Size];
        for (int i = 0; i < count; i++)
        {
            bool isShorter = i < count - 1 && random.Next(3) == 0;
            long own = isShorter ? random.Next((int)(length / 512)) * 512L : length;
            var image = new MemoryOverlayNode($"image{i}", own, s_clusterSizes[random.Next(s_clusterSizes.Length)], environment, Images.LastOrDefault());
            _writers.AsSpan((int)(own / 512)).Clear(); // past its end are zeroes, whatever is below
            Fill(image, writer: i + 1, random);
            Images.Add(image);
        }
    }

    /// <summary>From the oldest up.</summary>
    internal List<MemoryOverlayNode> Images { get; } = [];

    internal MemoryOverlayNode Newest => Images[^1];

    /// <summary>Who wrote the sector that a reader of the newest image sees at <paramref name="offset"/>.</summary>
    internal int WriterAt(long offset) => _writers[offset / SectorStamp.Size];

    private void Fill(MemoryOverlayNode image, int writer, SeededRandom random)
    {
        int cluster = image.Limits.ClusterSize;
        for (long at = 0; at < image.Length; at += cluster)
        {
            int length = (int)Math.Min(cluster, image.Length - at);
            Span<int> writers = _writers.AsSpan((int)(at / 512), length / 512);
            switch (random.Next(7))
            {
                case 0:
                    image.FillZero(at, length);
                    writers.Clear();
                    break;
                case 1 or 2:
                    image.Fill(at, SectorStamp.Of(at, length, writer));
                    writers.Fill(writer);
                    break;
                default:
                    break; // left to the images below
            }
        }
    }
}
