using BlockLayer.Jobs;
using BlockLayer.Simulation;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>What a job of each kind that did not complete says of the disk's files. It is true: from those alone the disk reads what it read before.</summary>
public sealed class JobFilesTests
{
    private readonly JobBench _bench = new();

    public static TheoryData<string> Kinds => JobBench.Kinds;

    [Theory]
    [MemberData(nameof(Kinds))]
    public void One_that_is_cancelled_half_way_tells_that_the_disk_needs_what_it_needed(string kind)
        => Run(kind, JobOutcome.Cancelled, async job =>
        {
            await job.StartAsync();
            await _bench.Machine.PassAsync(TimeSpan.FromSeconds(1));
            Assert.InRange(job.Progress.Current, 1, job.Progress.End - 1);
            job.Cancel(force: true);
        });

    [Theory]
    [MemberData(nameof(Kinds))]
    public void One_that_fails_half_way_tells_that_the_disk_needs_what_it_needed(string kind)
        => Run(kind, JobOutcome.Failed, async job =>
        {
            string filled = kind switch
            {
                "commit" or "active commit" => "/base",
                "mirror" or "backup" => "/target",
                _ => "/disk",
            };
            _bench.Machine.Storage.Faults.Add(new FaultRule { Operations = StorageOperations.Write, Path = filled, Skip = 1, Count = 1 });
            job.BytesPerSecond = 0;
            await job.StartAsync();
        });

    private void Run(string kind, JobOutcome outcome, Func<BlockJob, Task> disturbAsync)
        => _bench.Run(async disk =>
        {
            BlockJob job = await _bench.NewAsync(disk, kind, bytesPerSecond: 1);
            await disturbAsync(job);
            JobResult result = await job.Completion;
            Assert.Equal(outcome, result.Outcome);
            Assert.Equal(["/disk", "/middle", "/base"], result.Files.Needed);
            Assert.Empty(result.Files.Unneeded);
            (string[] changed, string[] invalid) = kind switch
            {
                "commit" => (["/base"], []),
                "active commit" => (["/base"], ["/middle"]),
                "mirror" or "backup" => ([], ["/target"]),
                _ => ((string[])[], (string[])[]),
            };
            Assert.Equal(changed, result.Files.Changed);
            Assert.Equal(invalid, result.Files.Invalid);
            await disk.DisposeAsync();
            foreach (string other in _bench.Machine.Storage.ListFiles("/").Except(result.Files.Needed))
            {
                await _bench.Machine.Storage.DeleteAsync(other, CancellationToken.None);
            }
        });
}
