using System.Text.Json;
using Xunit;

namespace BlockLayer.Interop.Tests.Jobs;

/// <summary>
/// Who carries out a script of jobs and verbs, and what is seen of it: which commands were refused, each job's events in order, and what was answered where the job
/// rests. Two sides are compared by their transcripts.
/// </summary>
/// <remarks>
/// <para>Left out of a transcript, because it depends on when somebody looks, or is deliberately not the same:</para>
/// <list type="bullet">
/// <item><c>created</c>: our job is an object before anybody can listen to it; QEMU's announces itself.</item>
/// <item>A pause and its end that nobody asked for: QEMU shows how it holds jobs back while it changes the graph, as states. Ours only wait.</item>
/// <item>How often an error came before the job did something about it: copies are cut differently, and several are under way.</item>
/// <item>Offsets on the way, and whether it is <c>busy</c> while it works: QEMU clears that while a job sleeps.</item>
/// <item><c>operation</c> of a pull's errors: for QEMU all are of reading; ours tells the half that failed. And whatever an error other than a full disk is called.</item>
/// <item>The length of a mirror: QEMU counts zeroes that the target shows already; ours does not copy them, nor count them. And that of a commit of the newest image that did
/// not get far: QEMU finds out what there is to copy first; ours says the whole disk until it has.</item>
/// </list>
/// </remarks>
internal abstract class JobSide : IAsyncDisposable
{
    private readonly Dictionary<string, JobRequest> _jobs = [];     // by their names
    private readonly Dictionary<string, List<string>> _heard = []; // of each job, and not yet noted

    /// <summary>What was seen, a line for each step.</summary>
    internal List<string> Transcript { get; } = [];

    /// <summary>Every event of every job in the order in which they were told: <c>job status</c>.</summary>
    internal List<string> Order { get; } = [];

    /// <summary>Where its images are.</summary>
    internal abstract string Folder { get; }

    public abstract ValueTask DisposeAsync();

    /// <summary>Starts jobs, several as one transaction; they all start.</summary>
    internal async Task StartAsync(params JobRequest[] jobs)
    {
        string? refusal = await TryStartAsync(jobs);
        Assert.True(refusal is null, $"{this}: the start was refused: {refusal}");
    }

    /// <summary>As <see cref="StartAsync"/>, but none of them starts.</summary>
    internal async Task RefusesToStartAsync(params JobRequest[] jobs) => Assert.NotNull(await TryStartAsync(jobs));

    /// <summary>Starts jobs. Null, or why they do not start.</summary>
    internal async ValueTask<string?> TryStartAsync(params JobRequest[] jobs)
    {
        foreach (JobRequest job in jobs)
        {
            _jobs[job.Id] = job;
        }

        string? refusal = await TryStartCoreAsync(jobs);
        foreach (JsonElement told in TakeEventsOfStart())
        {
            Hear(told);
        }

        return refusal;
    }

    /// <summary>Ends a job that may just have ended.</summary>
    internal async Task EndAsync(string job)
    {
        await TryAskAsync("block-job-cancel force", job);
        await UntilAsync("null", job);
    }

    /// <summary>Asks something of a job, which takes it.</summary>
    internal async Task TakesAsync(string verb, string job = "job")
    {
        string? refusal = await TryAskAsync(verb, job);
        Assert.True(refusal is null, $"{this}: {verb} was refused: {refusal}");
        Transcript.Add($"{job} takes {verb}");
    }

    /// <summary>Asks things of a job, which refuses them all.</summary>
    internal async Task RefusesAsync(params string[] verbs)
    {
        foreach (string verb in verbs)
        {
            Assert.True(await TryAskAsync(verb, "job") is not null, $"{this}: {verb} was taken");
        }

        Transcript.Add($"job refuses {string.Join(", ", verbs)}");
    }

    /// <summary>Waits until a job has told a state, or an event of that name, and notes what it told up to there.</summary>
    internal async Task UntilAsync(string what, string job = "job")
    {
        List<string> heard = HeardOf(job);
        int at;
        while ((at = heard.FindIndex(told => told.Split(' ')[0] == what)) < 0)
        {
            Assert.False(heard.Contains("null"), $"{this}: {job} is gone without {what}: {string.Join(", ", heard)}");
            Hear(await NextEventAsync());
        }

        Transcript.Add($"{job}: {string.Join(", ", heard[..(at + 1)])}");
        heard.RemoveRange(0, at + 1);
    }

    /// <summary>Notes what the queries answer about all jobs.</summary>
    internal async Task QueryAsync()
    {
        foreach (string command in new[] { "query-block-jobs", "query-jobs" })
        {
            IEnumerable<string> jobs = (await QueryAsync(command)).Select(DescribeJob).Order(StringComparer.Ordinal);
            Transcript.Add($"{command}: {string.Join("; ", jobs)}");
        }
    }

    private protected abstract ValueTask<string?> TryStartCoreAsync(JobRequest[] jobs);

    /// <summary>Asks something of a job, by the name of QMP's command; <c>set-speed N</c>, and a cancel may be followed by <c>force</c>. Null, or why it was refused.</summary>
    private protected abstract ValueTask<string?> TryAskAsync(string verb, string job);

    /// <summary>The events that a start is certain to have told when it is answered, and that have not been given out yet.</summary>
    private protected abstract IEnumerable<JsonElement> TakeEventsOfStart();

    /// <summary>The next event of any job.</summary>
    private protected abstract ValueTask<JsonElement> NextEventAsync();

    private protected abstract ValueTask<JsonElement[]> QueryAsync(string command);

    private List<string> HeardOf(string job) => _heard.TryGetValue(job, out List<string>? heard) ? heard : _heard[job] = [];

    private void Hear(JsonElement told)
    {
        string name = told.GetProperty("event").GetString()!;
        JsonElement data = told.GetProperty("data");
        string job = (data.TryGetProperty("id", out JsonElement id) ? id : data.GetProperty("device")).GetString()!;
        string what = name == "JOB_STATUS_CHANGE" ? data.GetProperty("status").GetString()! : $"{name} {DescribeEvent(name, job, data)}".TrimEnd();
        Order.Add($"{job} {what}");
        List<string> heard = HeardOf(job);
        switch (heard.LastOrDefault(), what)
        {
            case (_, "created"):
                break;
            case ("paused", "running") or ("standby", "ready"): // nobody waited for it, so nobody asked for it
                heard.RemoveAt(heard.Count - 1);
                break;
            case (var last, _) when last != what:
                heard.Add(what);
                break;
        }
    }

    private string DescribeEvent(string name, string job, JsonElement data)
    {
        if (name is "BLOCK_JOB_ERROR" or "BLOCK_JOB_PENDING")
        {
            return data.GetProperty(name == "BLOCK_JOB_ERROR" ? "action" : "type").GetString()!;
        }

        bool isWhole = name != "BLOCK_JOB_CANCELLED" && !data.TryGetProperty("error", out _);
        string length = HasKnownLength(job, isWhole) ? $" {data.GetProperty("len")}" : "";
        string all = isWhole && data.GetProperty("offset").GetInt64() == data.GetProperty("len").GetInt64() ? " all" : "";
        string error = data.TryGetProperty("error", out JsonElement text) ? $" error {Known(text)}" : "";
        return $"{data.GetProperty("type")}{length}{all} speed {data.GetProperty("speed")}{error}";
    }

    private string DescribeJob(JsonElement job)
    {
        string id = (job.TryGetProperty("id", out JsonElement named) ? named : job.GetProperty("device")).GetString()!;
        string status = job.GetProperty("status").GetString()!;
        bool isWhole = status is not ("running" or "paused") && !job.TryGetProperty("error", out _);
        return string.Join(' ', job.EnumerateObject()
            .Where(field => field.Name switch
            {
                "actively-synced" => false, // QEMU tells it from 8.2 on
                "busy" => status is not ("running" or "ready" or "waiting"),
                "len" or "total-progress" => HasKnownLength(id, isWhole),
                "offset" or "current-progress" => isWhole && HasKnownLength(id, isWhole),
                _ => true,
            })
            .OrderBy(static field => field.Name, StringComparer.Ordinal)
            .Select(static field => $"{field.Name}={(field.Name == "error" ? Known(field.Value) : field.Value.ToString())}"));
    }

    private bool HasKnownLength(string job, bool isWhole) => _jobs[job].Kind is not JobRequest.Mirror && (isWhole || _jobs[job].Kind is not JobRequest.ActiveCommit);

    private static string Known(JsonElement error) => error.GetString() is "No space left on device" or "Operation canceled" ? error.GetString()! : "of some kind";
}
