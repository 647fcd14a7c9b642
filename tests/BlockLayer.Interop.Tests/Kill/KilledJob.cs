using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.KillHost;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Kill;

/// <summary>A job on a <see cref="KillChain"/> whose process was killed: what it left, and what it had said.</summary>
internal sealed class KilledJob : IDisposable
{
    private const string TargetName = "target";

    private KilledJob(KillChain chain, string kind) => (Chain, Kind) = (chain, kind);

    /// <summary><c>commit</c>, <c>active-commit</c> or <c>mirror</c>.</summary>
    internal string Kind { get; }

    internal KillChain Chain { get; }

    /// <summary>What the process said before it died.</summary>
    internal IReadOnlyList<string> Lines { get; private set; } = [];

    /// <summary>What its guests had been promised.</summary>
    internal GuestReport Report { get; private set; } = null!;

    /// <summary>True if the new chain is the disk's: by a header, or by the program's record.</summary>
    internal bool IsSwitched { get; private set; }

    /// <summary>The newest image of the disk's chain, as the program was told.</summary>
    internal string Top => (IsSwitched, Kind) switch
    {
        (true, "active-commit") => Chain.Template,
        (true, "mirror") => Target,
        _ => Chain.Current,
    };

    /// <summary>Its format.</summary>
    internal string TopFormat => Top == Chain.Template ? Chain.TemplateFormat : Chain.Format;

    /// <summary>The files of the disk's chain, newest first.</summary>
    internal string[] Files => (IsSwitched, Kind) switch
    {
        (false, _) => [Chain.Current, Chain.Intermediate, Chain.Template],
        (true, "commit") => [Chain.Current, Chain.Template],
        _ => [Top],
    };

    private string Target => Chain.PathOf(TargetName);

    /// <summary>Runs a job under guests and kills it.</summary>
    /// <param name="kind">Which.</param>
    /// <param name="format">Of the images above the template, and of what is copied into.</param>
    /// <param name="point">A <see cref="KillPoint"/>.</param>
    /// <param name="callsBefore">Where it counts calls, how many it lets pass.</param>
    /// <param name="seed">Of the guests.</param>
    /// <param name="lines">It is killed at the latest after this many lines of its report.</param>
    internal static async Task<KilledJob> RunAsync(string kind, string format, string point, int callsBefore, ulong seed, int lines = int.MaxValue)
    {
        KillChain chain = await KillChain.CreateAsync(format, templateFormat: format);
        var job = new KilledJob(chain, kind);
        if (kind == "mirror")
        {
            await (await Disk.CreateAsync(job.Target, new NewImage { Format = format, Length = chain.Content.Length })).DisposeAsync();
        }

        int said = 0;
        job.Lines = KilledProcess.Run(
            "BlockLayer.KillHost",
            [point, $"{callsBefore}", chain.Current, "guest", $"{seed}", .. job.Words],
            process => process.StandardOutput,
            line => ++said == lines || line == KillHost.Report.Stopped);
        job.Report = new GuestReport(chain.Content, job.Lines);
        job.IsSwitched = kind == "commit"
            ? (await ReadChainAsync(chain.Current, format)).Length < KillChain.Before.Count
            : job.Lines.Contains(SwitchRecord.Line);
        return job;
    }

    /// <summary>Does the job again in this process, if there is anything left to do. Afterwards the new chain is the disk's.</summary>
    internal async Task RunAgainAsync()
    {
        if (IsSwitched)
        {
            return;
        }

        await using (Disk disk = await Disk.OpenAsync(Chain.Current, new DiskOptions { Format = Chain.Format }))
        {
            JobResult result = Kind switch
            {
                "commit" => await (await disk.StartCommitAsync(new CommitOptions { TopName = Chain.Intermediate, BaseName = Chain.Template })).Completion,
                "active-commit" => await (await disk.StartCommitAsync(new ActiveCommitOptions())).SwitchWhenReadyAsync(),
                _ => await (await disk.StartMirrorAsync(Target, create: new NewImage { Format = Chain.Format })).SwitchWhenReadyAsync(),
            };
            Assert.True(result.Outcome == JobOutcome.Completed, result.Error?.ToString());
        }

        IsSwitched = true;
    }

    public void Dispose() => Chain.Dispose();

    private string[] Words => Kind switch
    {
        "commit" => [Kind, Chain.Intermediate, Chain.Template],
        "active-commit" => [Kind, Chain.Template],
        _ => [Kind, Target, Chain.Format],
    };

    private static async Task<string[]> ReadChainAsync(string path, string format)
    {
        await using Disk disk = await Disk.OpenAsync(path, new DiskOptions { Format = format, Access = NodeAccess.ReadOnly });
        return [.. disk.Chain.Select(static image => image.Path!)];
    }
}
