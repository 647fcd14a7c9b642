using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;

namespace BlockLayer.Simulation.Tests.Crashes.Pulls;

/// <summary>Makes and opens the chain of a <see cref="PullPlan"/>.</summary>
internal static class PullChain
{
    private const int IntermediateWriter = 1 << 21;
    private const int CurrentWriter = 1 << 22;
    private const int TemplateWriter = 1 << 20;

    /// <summary>The images, durable in <paramref name="storage"/>; what the disk reads.</summary>
    internal static async Task<byte[]> MakeAsync(PullPlan plan, SimulatedStorageProvider storage)
    {
        var maker = new SimulatedStorageProvider();
        byte[] expected = new byte[PullPlan.Length];
        byte[] template = GuestStamp.Create(0, PullPlan.Length - (24 * 1024), TemplateWriter); // shorter than the disk
        template.AsSpan(72 * 1024, 20 * 1024).Clear();
        template.CopyTo(expected, 0);
        maker.AddFile(PullPlan.Template, template);
        if (plan.HasIntermediate)
        {
            var image = new NewImage
            {
                Format = plan.Format,
                Length = PullPlan.Length,
                Backing = new BackingReference("template", "raw"),
                Options = plan.IntermediateOptions,
            };
            await FillAsync(PullPlan.Intermediate, image, maker, expected, IntermediateWriter, [(3, 20), (90, 13), (150, 30), (210, 40)]);
        }

        var current = new NewImage
        {
            Format = plan.Format,
            Length = PullPlan.Length,
            Backing = plan.HasIntermediate ? new BackingReference("intermediate", plan.Format) : new BackingReference("template", "raw"),
            Options = plan.CurrentOptions,
        };
        await FillAsync(PullPlan.Current, current, maker, expected, CurrentWriter, [(0, 1), (100, 17), (230, 3)]);
        foreach (string path in plan.ChainBefore)
        {
            storage.AddFile(path, maker.ReadFile(path));
        }

        return expected;
    }

    internal static ValueTask<Disk> OpenAsync(BlockEnvironment environment, FormatRegistry? formats = null)
        => Disk.OpenAsync(PullPlan.Current, new DiskOptions { Formats = formats ?? BuiltInFormats.All, Environment = environment });

    internal static StreamJob NewPull(this Disk disk, PullPlan plan)
        => new(disk.Root, new StreamOptions { BaseName = plan.StopsAtTemplate ? PullPlan.Template : null, Strategy = plan.Strategy });

    private static async Task FillAsync(
        string path, NewImage image, SimulatedStorageProvider files, byte[] expected, int writer, (int FirstSector, int Sectors)[] runs)
    {
        await using Disk disk = await Disk.CreateAsync(path, image, new DiskOptions { Environment = SimulatedEnvironment.Inline(files) });
        foreach ((int firstSector, int sectors) in runs)
        {
            byte[] data = GuestStamp.Create(firstSector * 512, sectors * 512, writer);
            data.CopyTo(expected, firstSector * 512);
            await disk.WriteAsync(firstSector * 512, data);
        }

        await disk.FlushAsync();
    }
}
