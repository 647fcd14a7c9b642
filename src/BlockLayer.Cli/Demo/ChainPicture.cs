using System.Text;
using BlockLayer.Images;
using BlockLayer.Primitives;

namespace BlockLayer.Cli.Demo;

/// <summary>A chain in two lines: the images, and which of them provides each part of the disk.</summary>
internal static class ChainPicture
{
    private const int Cells = 64;
    private const int TitleWidth = 11;

    /// <summary>Draws what is true now. Takes the disk's status, which a guest may change meanwhile: it is a picture, not a proof.</summary>
    internal static async Task<string> DrawAsync(Disk disk, string title, CancellationToken cancellationToken)
    {
        string[] names = [.. disk.Chain.Select(image => Path.GetFileNameWithoutExtension(image.Path) ?? image.NodeName)];
        long[] provided = new long[names.Length];
        long[,] cells = new long[Cells, names.Length + 1];
        await foreach (MapExtent extent in ImageMapper.MapAsync(disk.Root, cancellationToken: cancellationToken).ConfigureAwait(false))
        {
            int image = extent.IsPresent ? extent.Depth : names.Length;
            if (extent.IsPresent)
            {
                provided[image] += extent.Length;
            }

            Spread(cells, disk.Length, extent, image);
        }

        var text = new StringBuilder();
        text.Append(title.PadRight(TitleWidth)).AppendJoin(" <- ", names.Reverse()).AppendLine();
        text.Append(' ', TitleWidth).Append('[').Append(Strip(cells, names)).Append(']');
        for (int i = names.Length - 1; i >= 0; i--)
        {
            text.Append($"  {names[i][0]} {ByteSize.Format(provided[i])}");
        }

        return text.ToString();
    }

    private static void Spread(long[,] cells, long length, MapExtent extent, int image)
    {
        long cellLength = Math.Max(1, (length + Cells - 1) / Cells);
        for (long at = extent.Start; at < extent.Start + extent.Length;)
        {
            long cell = at / cellLength;
            long end = Math.Min((cell + 1) * cellLength, extent.Start + extent.Length);
            cells[cell, image] += end - at;
            at = end;
        }
    }

    private static string Strip(long[,] cells, string[] names)
    {
        char[] strip = new char[Cells];
        for (int cell = 0; cell < Cells; cell++)
        {
            int most = Enumerable.Range(0, names.Length + 1).MaxBy(image => cells[cell, image]);
            strip[cell] = most < names.Length ? names[most][0] : '.';
        }

        return new string(strip);
    }
}
