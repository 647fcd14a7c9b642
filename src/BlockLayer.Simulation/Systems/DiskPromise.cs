using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Primitives;

namespace BlockLayer.Simulation;

/// <summary>What a disk owed its guests at one moment, and where to find it.</summary>
/// <param name="Path">The file of the newest image.</param>
/// <param name="Format">Its format.</param>
/// <param name="Oracle">What each sector may hold.</param>
/// <param name="Files">How many names of files were given, so that a life after a crash gives others.</param>
internal sealed record DiskPromise(string Path, string Format, SectorOracle Oracle, int Files)
{
    /// <summary>Opens the disk from what a crash left, as a program does that starts again, reads all of it, and lets every image be checked.</summary>
    internal async Task CheckAsync(SimulatedStorageProvider files, FormatRegistry formats)
    {
        var options = new DiskOptions { Format = Format, Formats = formats, Environment = SimulatedEnvironment.Inline(files), Secrets = ImageMaker.Secrets };
        Disk disk = await Disk.OpenAsync(Path, options).ConfigureAwait(false);
        await using (disk.ConfigureAwait(false))
        {
            using PooledBuffer content = await OracleGuest.RentAllAsync(disk.Root).ConfigureAwait(false);
            Oracle.Check(content.Span);
            await CheckImagesAsync(disk).ConfigureAwait(false);
        }
    }

    /// <summary>Every image of a disk passes its check; what a crash or a cancelled job has left allocated is no damage.</summary>
    internal static async Task CheckImagesAsync(Disk disk)
    {
        foreach (BlockNode image in disk.Chain.Where(ImageChecker.CanCheck))
        {
            ImageCheckReport report = await ImageChecker.CheckAsync(image).ConfigureAwait(false);
            if (report.Corruptions != 0)
            {
                throw new InvalidOperationException($"'{image.Path}' has {report.Corruptions} corruptions: {report.Findings[0].Message}");
            }
        }
    }
}
