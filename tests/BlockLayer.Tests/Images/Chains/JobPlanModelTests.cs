using System.Collections.Immutable;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.TestKit;
using FsCheck;
using FsCheck.Fluent;
using Xunit;

namespace BlockLayer.Tests.Images.Chains;

/// <summary>
/// Generated chains of all lengths and formats, with other images standing on them, and a job of each kind: the plan, the start that is given directories, and the job agree, and the other
/// images do afterwards what the plan said of them.
/// </summary>
public sealed class JobPlanModelTests
{
    private static readonly string[] s_directory = ["/vm"];

    public enum Kind
    {
        Pull,
        Commit,
        ActiveCommit,
        Rebase,
        UnsafeRebase,
    }

    [Theory]
    [InlineData(Kind.Pull)]
    [InlineData(Kind.Commit)]
    [InlineData(Kind.ActiveCommit)]
    [InlineData(Kind.Rebase)]
    [InlineData(Kind.UnsafeRebase)]
    public void The_job_does_what_its_plan_said(Kind kind)
    {
        Gen<Case> cases =
            from chain in ChainLayer.Chains(most: 5)
            from other in ChainLayer.Chains(most: 2)
            where ChainLayer.CanStandOnEachOther([.. chain, .. other])
            from top in Gen.Choose(0, 3)
            from depth in Gen.Choose(1, 4)
            from count in Gen.Choose(0, 3)
            from siblings in Gen.ListOf(Gen.Choose(0, 7), count)
            select new Case(kind, chain, other, top, depth, [.. siblings]);
        Prop.ForAll(Arb.From(cases, Shrink), one => RunAsync(one).GetAwaiter().GetResult())
            .Check(Config.QuickThrowOnFailure.WithMaxTest(Effort.Times(40)).WithQuietOnSuccess(true));
    }

    private static IEnumerable<Case> Shrink(Case one)
        => ChainLayer.Shrink(one.Chain).Select(chain => one with { Chain = chain })
            .Concat(one.Siblings.Select((_, i) => one with { Siblings = one.Siblings.RemoveAt(i) }));

    private static async Task RunAsync(Case one)
    {
        BuiltChain chain = await BuiltChain.BuildAsync("image", one.Chain);
        BuiltChain other = await BuiltChain.BuildAsync("other", one.IsOntoRelative ? one.Other[1..] : one.Other, on: one.IsOntoRelative ? chain.Lowest() : null, chain.Environment);
        Siblings siblings = await Siblings.MakeAsync(chain, one.Siblings);
        (ChainPlan plan, BlockJob? job) = await DoAsync(one, chain, other);
        if (job is not null)
        {
            await siblings.AssertAsync(plan);
            await AssertShowsAsync(one, chain, plan);
        }
    }

    private static async Task<(ChainPlan Plan, BlockJob? Job)> DoAsync(Case one, BuiltChain chain, BuiltChain other)
    {
        await using Disk disk = await Disk.OpenAsync(chain.TopPath, new DiskOptions { Environment = chain.Environment, Policy = OpenPolicy.QemuCompatible });
        int newest = chain.Layers.Count - 1;
        int top = Math.Max(1, one.Kind == Kind.Commit ? Math.Min(newest - one.Top, newest - 1) : newest - one.Top);
        int below = Math.Max(0, top - one.Depth);
        var pull = new StreamOptions { TopName = chain.PathOf(top), BaseName = one.Depth > top ? null : chain.PathOf(below) };
        var commit = new CommitOptions { TopName = chain.PathOf(top), BaseName = chain.PathOf(below) };
        var active = new ActiveCommitOptions { BaseName = chain.PathOf(Math.Max(0, newest - one.Depth)), Granularity = one.Top > 1 ? 4096 : null };
        var rebase = new RebaseOptions { Mode = one.Kind == Kind.Rebase ? RebaseMode.Safe : RebaseMode.Unsafe };
        string? backing = one.IsOntoNothing ? null : other.TopPath;
        var backingOptions = new DiskOptions { Format = BuiltChain.FormatOf(other.Top), Environment = chain.Environment };
        switch (one.Kind)
        {
            case Kind.Pull:
                return await EqualsAsync(await disk.PlanPullAsync(pull, s_directory), async () => await disk.StartPullAsync(pull), chain);
            case Kind.Commit when newest == 1:
                await Assert.ThrowsAsync<BlockLayerException>(() => disk.PlanCommitAsync(commit with { TopName = chain.PathOf(1) }, s_directory).AsTask());
                return (null!, null);
            case Kind.Commit:
                return await EqualsAsync(
                    await disk.PlanCommitAsync(commit, s_directory), async () => await disk.StartCommitAsync(commit), chain, async () => await disk.StartCommitAsync(commit, s_directory));
            case Kind.ActiveCommit:
                return await EqualsAsync(
                    await disk.PlanCommitAsync(active, s_directory), async () => await disk.StartCommitAsync(active), chain, async () => await disk.StartCommitAsync(active, s_directory));
            default:
                return await EqualsAsync(
                    await disk.PlanRebaseAsync(backing, rebase, backingOptions, s_directory), async () => await disk.StartRebaseAsync(backing, rebase, backingOptions), chain);
        }
    }

    private static async Task<(ChainPlan Plan, BlockJob? Job)> EqualsAsync(
        ChainPlan plan, Func<Task<BlockJob>> startAsync, BuiltChain chain, Func<Task<BlockJob>>? startCarefullyAsync = null)
    {
        long length = await LengthAsync(chain, plan.Base);
        BlockJob job;
        if (plan.Destroyed.Count > 0)
        {
            Assert.NotNull(startCarefullyAsync);
            BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(startCarefullyAsync);
            Assert.Equal(BlockErrorKind.Conflict, refusal.Kind);
            Assert.Equal(Assert.Throws<BlockLayerException>(plan.ThrowIfDestructive).Message, refusal.Message);
            job = await startAsync();
        }
        else
        {
            job = await (startCarefullyAsync ?? startAsync)();
        }

        JobResult result = job is LiveCopyJob copy ? await copy.CompleteWhenReadyAsync() : await job.Completion;
        Assert.Equal((JobOutcome.Completed, null), (result.Outcome, result.Error));
        Assert.Equal(CopiedBytes(job), plan.CopiedBytes);
        Assert.Equal((result.Files.Changed, result.Files.Invalid, result.Files.Unneeded), (plan.Changed, plan.Invalid, plan.Unneeded), FilesComparer);
        Assert.Equal(await LengthAsync(chain, plan.Base) - length, plan.GrownBytes);
        return (plan, job);
    }

    private static bool FilesComparer(
        (IReadOnlyList<string> Changed, IReadOnlyList<string> Invalid, IReadOnlyList<string> Unneeded) left,
        (IReadOnlyList<string> Changed, IReadOnlyList<string> Invalid, IReadOnlyList<string> Unneeded) right)
        => left.Changed.SequenceEqual(right.Changed) && left.Invalid.SequenceEqual(right.Invalid) && left.Unneeded.SequenceEqual(right.Unneeded);

    private static long CopiedBytes(BlockJob job) => job switch
    {
        StreamJob pull => pull.CopiedBytes,
        CommitJob commit => commit.CopiedBytes,
        LiveCopyJob copy => copy.CopiedBytes,
        RebaseJob rebase => rebase.CopiedBytes,
        _ => throw new ArgumentOutOfRangeException(nameof(job), job.Kind, null),
    };

    private static async Task<long> LengthAsync(BuiltChain chain, string? path)
    {
        if (path is null || Enumerable.Range(0, chain.Layers.Count).FirstOrDefault(i => chain.PathOf(i) == path, -1) is not (>= 0 and var index))
        {
            return 0;
        }

        await using BlockNode image = await chain.Opener.OpenAsync(
            path, new ImageOpenOptions { Format = BuiltChain.FormatOf(chain.Layers[index]), Backing = BackingMode.Ignore, Locking = ImageLocking.Ignore });
        return image.Length;
    }

    // The disk as it was, from the image that its next open names; unsafe is what it says.
    private static async Task AssertShowsAsync(Case one, BuiltChain chain, ChainPlan plan)
    {
        if (one.Kind != Kind.UnsafeRebase)
        {
            int index = one.Kind == Kind.ActiveCommit ? Enumerable.Range(0, chain.Layers.Count).First(i => chain.PathOf(i) == plan.Base) : chain.Layers.Count - 1;
            byte[] expected = [.. chain.Contents[^1], .. chain.Contents[index].Skip(chain.Contents[^1].Length)];
            await chain.AssertShowsAsync(index, expected);
        }
    }

    /// <summary>Images beside the chain: each stands on an image of the chain, or on the one made before.</summary>
    private sealed class Siblings
    {
        private readonly BuiltChain _chain;
        private readonly List<(string Path, string On, byte[] Content)> _images = [];

        private Siblings(BuiltChain chain) => _chain = chain;

        /// <param name="chain">The chain.</param>
        /// <param name="places">Of each: the image of the chain that it stands on, counted from the oldest; past the newest one, it stands on the sibling before.</param>
        internal static async Task<Siblings> MakeAsync(BuiltChain chain, ImmutableArray<int> places)
        {
            var made = new Siblings(chain);
            foreach (int place in places)
            {
                int last = chain.Layers.Count - 1; // nobody stands on what a guest writes
                (string on, string format, byte[] shown) = place < last || made._images.Count == 0
                    ? (chain.PathOf(Math.Min(place, last - 1)), BuiltChain.FormatOf(chain.Layers[Math.Min(place, last - 1)]), chain.Contents[Math.Min(place, last - 1)])
                    : (made._images[^1].Path, "qcow2", made._images[^1].Content);
                string path = $"/vm/sibling{made._images.Count}";
                byte[] content = [.. shown];
                var image = new NewImage { Format = "qcow2", Length = content.Length, Backing = new BackingReference(on, format) };
                await using Disk disk = await Disk.CreateAsync(path, image, new DiskOptions { Environment = chain.Environment });
                Pattern.Fill(content.AsSpan(0, 512), 0, writer: 9);
                await disk.WriteAsync(0, content.AsMemory(0, 512));
                made._images.Add((path, on, content));
            }

            return made;
        }

        /// <summary>Those that are destroyed, and those that need what nobody else needs, are told, and no others; the rest outlives the files that may be deleted.</summary>
        internal async Task AssertAsync(ChainPlan plan)
        {
            Assert.Empty(plan.Unjudged);
            string[] left = [.. plan.Unneeded, .. plan.Invalid];
            Assert.Equal(Through([.. plan.Changed, .. plan.Invalid]), plan.Destroyed);
            Assert.Equal(
                Through(plan.Unneeded).SelectMany(image => left.SkipWhile(path => path != image.Through).Select(path => image with { Through = path })),
                plan.Dependent);
            foreach (string path in left.Except(plan.Dependent.Select(static image => image.Through)))
            {
                await _chain.Environment.Files.DeleteAsync(path, CancellationToken.None);
            }

            foreach ((string path, _, byte[] content) in _images.Where(image => plan.Destroyed.All(destroyed => destroyed.Path != image.Path)))
            {
                await using Disk disk = await Disk.OpenAsync(path, new DiskOptions { Environment = _chain.Environment, Access = NodeAccess.ReadOnly });
                byte[] shown = new byte[disk.Length];
                await disk.ReadAsync(0, shown);
                Assert.True(shown.AsSpan().SequenceEqual(content), $"'{path}' shows something else");
            }
        }

        private IEnumerable<AffectedImage> Through(IReadOnlyList<string> files)
            => _images.Select(image => new AffectedImage(image.Path, FirstOfChain(image.On))).Where(image => files.Contains(image.Through));

        private string FirstOfChain(string path) => _images.FirstOrDefault(image => image.Path == path) is { Path: not null } sibling ? FirstOfChain(sibling.On) : path;
    }

    private sealed record Case(Kind Kind, ImmutableArray<ChainLayer> Chain, ImmutableArray<ChainLayer> Other, int Top, int Depth, ImmutableArray<int> Siblings)
    {
        internal bool IsOntoNothing => Top == 0;

        internal bool IsOntoRelative => Kind is JobPlanModelTests.Kind.Rebase or JobPlanModelTests.Kind.UnsafeRebase && !IsOntoNothing && Depth > 2;

        public override string ToString() => $"{Kind} {string.Join(" <- ", Chain)}; other {string.Join(" <- ", Other)}; top {Top}, depth {Depth}, siblings [{string.Join(", ", Siblings)}]";
    }
}
