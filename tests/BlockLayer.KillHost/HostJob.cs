using BlockLayer.Images;
using BlockLayer.Jobs;

namespace BlockLayer.KillHost;

/// <summary>What is done to a disk while guests use it.</summary>
/// <param name="CopiesInto">The file that is filled.</param>
/// <param name="StartAsync">Starts it, at this many bytes a second.</param>
internal sealed record HostJob(string CopiesInto, Func<Disk, long, Task<BlockJob>> StartAsync)
{
    /// <summary>
    /// The job that words of the command line ask for: <c>pull [BASE]</c>, <c>commit TOP BASE</c>, <c>active-commit BASE</c>, <c>mirror TARGET FORMAT</c>.
    /// </summary>
    /// <param name="path">The disk's newest image.</param>
    /// <param name="words">The words.</param>
    /// <param name="record">Where a change over to another image is written down.</param>
    internal static HostJob Parse(string path, string[] words, SwitchRecord record) => words switch
    {
        ["pull"] => Pull(path, basis: null),
        ["pull", var basis] => Pull(path, basis),
        ["commit", var top, var basis] => new HostJob(basis, async (disk, speed) =>
            await disk.StartCommitAsync(new CommitOptions { TopName = top, BaseName = basis, BytesPerSecond = speed }).ConfigureAwait(false)),
        ["active-commit", var basis] => new HostJob(basis, async (disk, speed) =>
            await disk.StartCommitAsync(new ActiveCommitOptions
            {
                BaseName = basis,
                CopyMode = MirrorCopyMode.WriteBlocking, // becomes ready, however busy guests are
                BytesPerSecond = speed,
                BeforeSwitch = record.MakeAsync,
            }).ConfigureAwait(false)),
        ["mirror", var target, var format] => new HostJob(target, async (disk, speed) =>
            await disk.StartMirrorAsync(
                target,
                new MirrorJobOptions { CopyMode = MirrorCopyMode.WriteBlocking, BytesPerSecond = speed, BeforeSwitch = record.MakeAsync },
                targetOptions: new DiskOptions { Format = format }).ConfigureAwait(false)),
        _ => throw new ArgumentException($"\"{string.Join(' ', words)}\" is no job."),
    };

    private static HostJob Pull(string path, string? basis) => new(path, async (disk, speed) =>
        await disk.StartPullAsync(new StreamOptions { BaseName = basis, BytesPerSecond = speed }).ConfigureAwait(false));
}
