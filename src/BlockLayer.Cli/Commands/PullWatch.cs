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

    /// <summary>
    /// Shows how much of what was lacking a job has copied, until it has ended, or until <paramref name="enough"/> says so. Its position on the disk would not
    /// do: it leaps over what need not be copied, and the speed would be above the limit that was asked for.
    /// </summary>
    internal static async Task ShowAsync(StreamJob job, long lacking, ProgressLine line, TimeProvider time, Func<JobProgress, bool>? enough = null)
    {
        while (!job.Completion.IsCompleted)
        {
            line.Report(new ByteProgress(Math.Min(job.CopiedBytes, lacking), lacking));
            if (enough?.Invoke(job.Progress) == true)
            {
                return;
            }

            await Task.WhenAny(job.Completion, Task.Delay(s_interval, time)).ConfigureAwait(false);
        }
    }
}
