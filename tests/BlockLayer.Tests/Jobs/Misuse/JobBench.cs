using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Simulation;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>A disk of three files on a simulated machine, <c>/disk</c> over <c>/middle</c> over <c>/base</c>, and a job of any kind on it.</summary>
/// <param name="length">Bytes of the disk; by default more than any job copies in one step.</param>
internal sealed class JobBench(int length = 4 << 20)
{
    private readonly byte[] _content = new byte[length];

    internal static string[] AllKinds { get; } = ["stream", "commit", "active commit", "mirror", "backup", "rebase"];

    internal static TheoryData<string> Kinds => [.. AllKinds];

    internal int Length => length;

    internal SimulatedMachine Machine { get; } = new();

    /// <summary>Creates the files, runs a test on the disk, and sees that it reads afterwards, opened anew, what it read before.</summary>
    internal void Run(Func<Disk, Task> test) => Machine.Run(async () =>
    {
        await CreateAsync("/base", null, 0, 3 * Length / 4);
        await CreateAsync("/middle", "/base", Length / 4, Length / 2);
        await CreateAsync("/disk", "/middle", Length / 2, Length / 8);
        await using (Disk disk = await Disk.OpenAsync("/disk", Machine.As("qcow2")))
        {
            await test(disk);
        }

        await using Disk again = await Disk.OpenAsync("/disk", Machine.As("qcow2"));
        byte[] found = new byte[Length];
        await again.ReadAsync(0, found);
        Assert.True(found.AsSpan().SequenceEqual(_content), "the disk reads something else");
    });

    /// <summary>A job that has something to do, not started yet. A target of its own is closed with it.</summary>
    internal async Task<BlockJob> NewAsync(Disk disk, string kind, long bytesPerSecond = 0)
    {
        switch (kind)
        {
            case "stream":
                return new StreamJob(disk.Root, new StreamOptions { Base = disk.Chain[2], BytesPerSecond = bytesPerSecond });
            case "commit":
                return new CommitJob(disk.Root, new CommitOptions { Top = disk.Chain[1], BytesPerSecond = bytesPerSecond });
            case "active commit":
                return new ActiveCommitJob(disk.Root, new ActiveCommitOptions { BytesPerSecond = bytesPerSecond });
            case "mirror":
                return await OnTargetAsync(target => new MirrorJob(disk.Root, target, new MirrorJobOptions { BytesPerSecond = bytesPerSecond }));
            case "backup":
                return await OnTargetAsync(target => new BackupJob(disk.Root, target, new BackupOptions { BytesPerSecond = bytesPerSecond }));
            default:
                return new RebaseJob(disk.Root, new RebaseOptions { BytesPerSecond = bytesPerSecond });
        }
    }

    /// <summary>Brings a job to its end, whatever was done to it on the way.</summary>
    internal async Task<JobResult> EndAsync(BlockJob job)
    {
        while (!job.Completion.IsCompleted)
        {
            await Machine.PassAsync(TimeSpan.FromSeconds(1));
            switch (job.State)
            {
                case JobState.Paused or JobState.Standby:
                    job.Resume();
                    break;
                case JobState.Ready:
                    job.Cancel(); // it ends well, and the disk stays in its file
                    break;
            }
        }

        return await job.Completion;
    }

    private async Task CreateAsync(string path, string? backing, int offset, int count)
    {
        byte[] data = Pattern.Of(offset, count, writer: path[1]);
        data.CopyTo(_content, offset);
        await using Disk disk = await Machine.CreateAsync(path, Length, backing);
        await disk.WriteAsync(offset, data);
    }

    // The target is the job's, if there is one.
    private async Task<BlockJob> OnTargetAsync(Func<BlockNode, BlockJob> make)
    {
        await (await Machine.CreateAsync("/target", Length)).DisposeAsync();
        var how = new ImageOpenOptions { Format = "qcow2", Access = NodeAccess.ReadWrite };
        BlockNode target = await new ImageOpener(BuiltInFormats.All, Machine.Environment).OpenAsync("/target", how, CancellationToken.None);
        try
        {
            return make(target);
        }
        catch
        {
            await target.DisposeAsync();
            throw;
        }
    }
}
