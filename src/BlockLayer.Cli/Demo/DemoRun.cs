using BlockLayer.Cli.Commands;
using BlockLayer.Cli.Terminal;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Primitives;

namespace BlockLayer.Cli.Demo;

/// <summary>
/// The story of the demo: a chain of three images, guests that read and write the newest, a pull that makes the middle one superfluous, cancelled and
/// resumed on the way; then every byte is compared with the model and every file is checked.
/// </summary>
internal sealed class DemoRun
{
    private static readonly TimeSpan s_warmUp = TimeSpan.FromMilliseconds(500); // the first requests pay for compiling the code, which is no one's wait
    private static readonly TimeSpan s_idleTime = TimeSpan.FromSeconds(1);

    private readonly DemoOptions _options;
    private readonly CommandContext _context;
    private readonly DemoChain _chain;
    private readonly SummaryTable _summary = new();

    internal DemoRun(DemoOptions options, CommandContext context)
    {
        _options = options;
        _context = context;
        _chain = new DemoChain(options);
    }

    private TimeProvider Time => _context.Environment.Time;

    private TextWriter Out => _context.Out;

    /// <summary>Plays it. True when everything held.</summary>
    /// <exception cref="DemoFailedException">A guest read a wrong byte, or the pull ended as it must not.</exception>
    internal async Task<bool> PlayAsync(CancellationToken cancellationToken)
    {
        Out.WriteLine($"Making three images of {ByteSize.Format(_options.Length)} in {_options.Directory} (seed {_options.Seed})");
        Out.Flush();
        await _chain.MakeAsync(cancellationToken).ConfigureAwait(false);
        await PullUnderGuestsAsync(cancellationToken).ConfigureAwait(false);
        await ProveAsync(cancellationToken).ConfigureAwait(false);
        Out.WriteLine();
        _summary.Write(Out);
        return _summary.AllHeld;
    }

    private async Task PullUnderGuestsAsync(CancellationToken cancellationToken)
    {
        Disk disk = await Disk.OpenAsync(_chain.Current, cancellationToken: cancellationToken).ConfigureAwait(false);
        await using (disk.ConfigureAwait(false))
        {
            await DrawAsync(disk, "before", cancellationToken).ConfigureAwait(false);
            var guests = new GuestCrowd(disk, _chain.Model, _options.Seed, Time);
            await using (guests.ConfigureAwait(false))
            {
                await Task.WhenAny(Task.Delay(s_warmUp, Time, cancellationToken), guests.FirstEnd).ConfigureAwait(false);
                guests.EndPhase();
                await Task.WhenAny(Task.Delay(s_idleTime, Time, cancellationToken), guests.FirstEnd).ConfigureAwait(false);
                LatencyLog[] idle = guests.EndPhase();

                long lacking = await PullWatch.MeasureLackingAsync(disk, _chain.Template, cancellationToken).ConfigureAwait(false);
                long started = Time.GetTimestamp();
                long unhurried = lacking / 2; // at least two seconds for all of it, so that the cancel comes in the middle however small the disk is
                long bandwidth = _options.Bandwidth == 0 ? unhurried : Math.Min(_options.Bandwidth, unhurried);
                await PullUntilAsync(disk, guests, lacking, bandwidth, progress => progress.Current >= progress.End * 0.4, cancellationToken).ConfigureAwait(false);
                long left = await PullWatch.MeasureLackingAsync(disk, _chain.Template, cancellationToken).ConfigureAwait(false);
                await DrawAsync(disk, "cancelled", cancellationToken).ConfigureAwait(false);
                await PullUntilAsync(disk, guests, left, _options.Bandwidth, enough: null, cancellationToken).ConfigureAwait(false);
                TimeSpan taken = Time.GetElapsedTime(started);
                LatencyLog[] pulling = guests.EndPhase();

                await guests.StopAsync().ConfigureAwait(false);
                await disk.FlushAsync(cancellationToken).ConfigureAwait(false);
                await DrawAsync(disk, "after", cancellationToken).ConfigureAwait(false);
                Summarise(guests, idle, pulling, lacking, left, taken);
            }
        }
    }

    /// <summary>Pulls down to the template, or until it is enough and the job is cancelled.</summary>
    private async Task PullUntilAsync(
        Disk disk, GuestCrowd guests, long lacking, long bandwidth, Func<JobProgress, bool>? enough, CancellationToken cancellationToken)
    {
        var options = new StreamOptions { BaseName = _chain.Template, BytesPerSecond = bandwidth };
        StreamJob job = await disk.StartPullAsync(options, cancellationToken).ConfigureAwait(false);
        using CancellationTokenRegistration stop = cancellationToken.Register(() => job.TryCancel());
        using (ProgressLine line = _context.ShowProgress())
        {
            await PullWatch.ShowAsync(job, lacking, line, Time, progress => guests.FirstEnd.IsFaulted || enough?.Invoke(progress) == true).ConfigureAwait(false);
        }

        if (enough is not null || guests.FirstEnd.IsFaulted)
        {
            job.TryCancel();
        }

        JobResult result = await job.Completion.ConfigureAwait(false);
        cancellationToken.ThrowIfCancellationRequested();
        JobOutcome expected = enough is null ? JobOutcome.Completed : JobOutcome.Cancelled;
        if (result.Outcome != expected && !guests.FirstEnd.IsFaulted)
        {
            throw new DemoFailedException($"The pull ended as {result.Outcome} and not as {expected}: {result.Error?.Message ?? "no error"}");
        }
    }

    /// <summary>Everything again from the files alone, as the next program finds them.</summary>
    private async Task ProveAsync(CancellationToken cancellationToken)
    {
        Disk disk = await Disk.OpenAsync(_chain.Current, new DiskOptions { Access = NodeAccess.ReadOnly }, cancellationToken).ConfigureAwait(false);
        await using (disk.ConfigureAwait(false))
        {
            string[] names = [.. disk.Chain.Reverse().Select(image => Path.GetFileName(image.Path)!)];
            _summary.AddProof("chain on disk", string.Join(" <- ", names), names is ["template.qcow2", "current.qcow2"]);
            await ProveContentAsync("current", disk, _chain.Model, cancellationToken).ConfigureAwait(false);
        }

        Disk template = await Disk.OpenAsync(_chain.Template, new DiskOptions { Access = NodeAccess.ReadOnly }, cancellationToken).ConfigureAwait(false);
        await using (template.ConfigureAwait(false))
        {
            await ProveContentAsync("template", template, _chain.TemplateModel, cancellationToken).ConfigureAwait(false);
        }

        foreach (string file in new[] { _chain.Template, _chain.Intermediate, _chain.Current })
        {
            Disk image = await Disk.OpenAsync(file, new DiskOptions { Access = NodeAccess.ReadOnly }, cancellationToken).ConfigureAwait(false);
            await using (image.ConfigureAwait(false))
            {
                ImageCheckReport report = await ImageChecker.CheckAsync(image.Root, cancellationToken: cancellationToken).ConfigureAwait(false);
                string found = $"{report.Corruptions} errors, {report.Leaks} leaks, {report.AllocatedClusters} clusters";
                _summary.AddProof($"check of {Path.GetFileName(file)}", found, report.Corruptions == 0 && report.Leaks == 0);
            }
        }
    }

    private async Task ProveContentAsync(string name, Disk disk, DiskModel model, CancellationToken cancellationToken)
    {
        byte[] buffer = new byte[1 << 20];
        for (long offset = 0; offset < model.Length; offset += buffer.Length)
        {
            await disk.ReadAsync(offset, buffer, cancellationToken).ConfigureAwait(false);
            if (model.FindDifference(buffer, offset) is { } wrong)
            {
                _summary.AddProof($"bytes of {name}", $"differ from the model at {wrong}", held: false);
                return;
            }
        }

        _summary.AddProof($"bytes of {name}", $"{model.Length} compared with the model", held: true);
    }

    private void Summarise(GuestCrowd guests, LatencyLog[] idle, LatencyLog[] pulling, long lacking, long left, TimeSpan taken)
    {
        LatencyLog idleAll = LatencyLog.Merge(idle);
        LatencyLog pullingAll = LatencyLog.Merge(pulling);
        _summary.Add("provided by intermediate before", ByteSize.Format(lacking));
        _summary.AddProof("copied, or overwritten, at the cancel", ByteSize.Format(lacking - left), left > 0 && left < lacking);
        _summary.Add("left for the second run", ByteSize.Format(left));
        _summary.Add("time of both runs", $"{taken.TotalSeconds:0.0} s");
        _summary.Add("guest reads, each compared", $"{guests.Reads}");
        _summary.Add("guest writes", $"{guests.Writes}");
        _summary.Add("guest waits, idle", $"p50 {idleAll.Percentile(0.5)}, p99 {idleAll.Percentile(0.99)} of {idleAll.Count}");
        _summary.Add("guest waits, pulling", $"p50 {pullingAll.Percentile(0.5)}, p99 {pullingAll.Percentile(0.99)} of {pullingAll.Count}");
    }

    private async Task DrawAsync(Disk disk, string title, CancellationToken cancellationToken)
    {
        Out.WriteLine();
        Out.WriteLine(await ChainPicture.DrawAsync(disk, title, cancellationToken).ConfigureAwait(false));
        Out.Flush();
    }
}
