using BlockLayer.Cli.Terminal;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Primitives;

namespace BlockLayer.Cli.Commands;

/// <summary>Watches a pull: what there is to copy, and how far it is.</summary>
internal static class PullWatch
{
    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(100);

    /// <summary>Bytes that have to be copied: what images between the top and the base provide; without a base, all images below the top.</summary>
    internal static async Task<long> MeasureLackingAsync(Disk disk, string? basePath, CancellationToken cancellationToken)
    {
        BlockNode? basis = basePath is null ? null : BackingChain.FindByPath(disk.Root, basePath);
        int copied = disk.Chain.TakeWhile(image => image != basis).Count();
        long lacking = 0;
        await foreach (MapExtent extent in ImageMapper.MapAsync(disk.Root, cancellationToken: cancellationToken).ConfigureAwait(false))
        {
            if (extent.IsPresent && extent.Depth > 0 && extent.Depth < copied)
            {
                lacking += extent.Length;
            }
        }

        return lacking;
    }

    /// <summary>Shows the progress of a job until it has ended, or until <paramref name="enough"/> says so.</summary>
    internal static async Task ShowAsync(BlockJob job, ProgressLine line, TimeProvider time, Func<JobProgress, bool>? enough = null)
    {
        while (!job.Completion.IsCompleted)
        {
            JobProgress progress = job.Progress;
            line.Report(new ByteProgress(progress.Current, progress.End));
            if (enough?.Invoke(progress) == true)
            {
                return;
            }

            await Task.WhenAny(job.Completion, Task.Delay(s_interval, time)).ConfigureAwait(false);
        }
    }
}
