using BlockLayer.Graph;
using BlockLayer.Images;

namespace BlockLayer.Simulation;

/// <summary>What a disk owed its guests at one moment, and where to find it.</summary>
/// <param name="Path">The file of the newest image.</param>
/// <param name="Format">Its format.</param>
/// <param name="Oracle">What each sector may hold.</param>
internal sealed record DiskPromise(string Path, string Format, SectorOracle Oracle)
{
    /// <summary>Opens the disk from what a crash left, as a program does that starts again, and reads all of it.</summary>
    internal async Task CheckAsync(SimulatedStorageProvider files, FormatRegistry formats)
    {
        var options = new DiskOptions { Format = Format, Formats = formats, Environment = SimulatedEnvironment.Inline(files) };
        Disk disk = await Disk.OpenAsync(Path, options).ConfigureAwait(false);
        await using (disk.ConfigureAwait(false))
        {
            Oracle.Check(await OracleGuest.ReadAllAsync(disk.Root).ConfigureAwait(false));
        }
    }
}
