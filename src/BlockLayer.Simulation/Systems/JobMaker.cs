using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Jobs;

namespace BlockLayer.Simulation;

/// <summary>Makes jobs for a disk: on which part of its chain, and how, is picked by the seed.</summary>
internal sealed class JobMaker(SystemDisk disk, CopiedCheck copiedCheck, SeededRandom random)
{
    private BlockNode Root => disk.Disk.Root;

    private IReadOnlyList<BlockNode> Chain => disk.Disk.Chain;

    /// <summary>A pull into the newest image or one below it.</summary>
    /// <param name="top">Which: its place in the chain, 0 for the newest.</param>
    internal StreamJob NewPull(int top)
    {
        IReadOnlyList<BlockNode> chain = Chain;
        int below = top + 1 + random.Next(chain.Count - top); // the one past the last: everything
        return NewPull(chain[top], below < chain.Count ? chain[below] : null);
    }

    /// <summary>Which images below the newest are committed into which.</summary>
    /// <remarks>The chain has three images at least.</remarks>
    internal CommitOptions PickCommit()
    {
        IReadOnlyList<BlockNode> chain = Chain;
        int top = 1 + random.Next(chain.Count - 2);
        return Pick(new CommitOptions { Top = chain[top], Base = chain[top + 1 + random.Next(chain.Count - top - 1)] });
    }

    /// <summary>A job on a single link below the newest image, which is likely to be free while another has another part of the chain.</summary>
    /// <remarks>The chain has three images at least.</remarks>
    internal BlockJob NewBeside()
    {
        IReadOnlyList<BlockNode> chain = Chain;
        int top = 1 + random.Next(chain.Count - 2);
        return random.Next(2) == 0
            ? NewPull(chain[top], top + 2 < chain.Count ? chain[top + 2] : null)
            : new CommitJob(Root, Pick(new CommitOptions { Top = chain[top], Base = chain[top + 1] }));
    }

    /// <summary>Into which image the newest is committed.</summary>
    /// <remarks>The chain has two images at least.</remarks>
    internal ActiveCommitOptions PickActiveCommit() => PickCopy(new ActiveCommitOptions { Base = Chain[1 + random.Next(Chain.Count - 1)] });

    internal BackupOptions PickBackup() => Pick(new BackupOptions()) with
    {
        OnTargetError = (JobErrorPolicy)random.Next(4),
        OnCopyBeforeWriteError = (CopyBeforeWritePolicy)random.Next(2),
    };

    internal T PickCopy<T>(T options)
        where T : LiveCopyOptions
        => Pick(options) with
        {
            CopyMode = random.Next(2) == 0 ? MirrorCopyMode.Background : MirrorCopyMode.WriteBlocking,
            Granularity = random.Next(2) == 0 ? 4096 : null,
            OnTargetError = random.Next(5) is < 4 and var policy ? (JobErrorPolicy)policy : null,
        };

    internal T Pick<T>(T options)
        where T : JobOptions
        => options with
        {
            BytesPerSecond = random.Next(3) == 0 ? 1 << 20 : 0,
            OnError = (JobErrorPolicy)random.Next(4),
            AutoFinalize = random.Next(8) > 0,
            AutoDismiss = random.Next(8) > 0,
        };

    private StreamJob NewPull(BlockNode top, BlockNode? basis) => new(Root, Pick(new StreamOptions { Top = top, Base = basis })) { CopiedCheck = copiedCheck };
}
