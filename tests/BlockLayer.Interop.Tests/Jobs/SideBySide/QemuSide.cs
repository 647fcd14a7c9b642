using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Jobs;

/// <summary>Jobs in a qemu-storage-daemon, asked for by QMP.</summary>
internal sealed class QemuSide : JobSide
{
    private readonly Process _process;
    private readonly Queue<JsonElement> _events = [];

    private QemuSide(string folder, Process process) => (Folder, _process) = (folder, process);

    internal override string Folder { get; }

    /// <summary>Opens the chain of <c>active</c>, and more images.</summary>
    internal static async Task<QemuSide> OpenAsync(string folder, params string[] more)
    {
        var nodes = new List<JsonObject> { Node("base", null), Node("middle", "base"), Node("active", "middle") };
        nodes.AddRange(more.Select(name => Node(name, name == "sibling" ? "base" : null)));
        IEnumerable<string> opened = nodes.SelectMany(static node => new[] { "--blockdev", node.ToJsonString() });
        Process process = QemuTool.Require("qemu-storage-daemon").Start(["--chardev", "stdio,id=control", "--monitor", "chardev=control", .. opened]);
        var side = new QemuSide(folder, process);
        Assert.Null(await side.ExecuteAsync("qmp_capabilities"));
        return side;

        JsonObject Node(string name, string? backing) => new()
        {
            ["driver"] = "qcow2",
            ["node-name"] = name,
            ["read-only"] = name is "base" or "middle" or "readonly",
            ["file"] = new JsonObject { ["driver"] = "file", ["filename"] = JobImages.FileOf(folder, name) },
            ["backing"] = backing,
        };
    }

    public override async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            await _process.StandardInput.WriteLineAsync("""{"execute":"quit"}""");
            _process.StandardInput.Close();
            await _process.StandardOutput.ReadToEndAsync();
            await _process.WaitForExitAsync();
        }

        _process.Dispose();
    }

    public override string ToString() => "qemu-storage-daemon";

    private protected override async ValueTask<string?> TryStartCoreAsync(JobRequest[] jobs)
    {
        if (jobs is [var single])
        {
            return await ExecuteAsync(CommandOf(single), ArgumentsOf(single));
        }

        JsonNode[] actions = [.. jobs.Select(static job => new JsonObject { ["type"] = CommandOf(job), ["data"] = ArgumentsOf(job) })];
        return await ExecuteAsync("transaction", new JsonObject
        {
            ["actions"] = new JsonArray(actions),
            ["properties"] = new JsonObject { ["completion-mode"] = "grouped" },
        });
    }

    private protected override ValueTask<string?> TryAskAsync(string verb, string job) => verb.Split(' ') switch
    {
        ["set-speed", var speed] => ExecuteAsync("block-job-set-speed", new JsonObject { ["device"] = job, ["speed"] = long.Parse(speed, null) }),
        ["block-job-cancel", .. var force] => ExecuteAsync("block-job-cancel", new JsonObject { ["device"] = job, ["force"] = force.Length > 0 }),
        _ => ExecuteAsync(verb, new JsonObject { ["id"] = job }),
    };

    private protected override IEnumerable<JsonElement> TakeEventsOfStart()
    {
        while (_events.TryDequeue(out JsonElement told))
        {
            yield return told;
        }
    }

    private protected override async ValueTask<JsonElement> NextEventAsync() => _events.TryDequeue(out JsonElement told) ? told : await ReadAsync();

    private protected override async ValueTask<JsonElement[]> QueryAsync(string command)
        => [.. (await AnswerToAsync(command, [])).GetProperty("return").EnumerateArray()];

    private static string CommandOf(JobRequest job) => job.Kind switch
    {
        JobRequest.Stream => "block-stream",
        JobRequest.Commit or JobRequest.ActiveCommit => "block-commit",
        JobRequest.Mirror => "blockdev-mirror",
        _ => "blockdev-backup",
    };

    private static JsonObject ArgumentsOf(JobRequest job)
    {
        bool hasTarget = job.Kind is JobRequest.Mirror or JobRequest.Backup;
        (string Name, JsonNode? Value)[] arguments =
        [
            ("job-id", job.Id), ("device", job.Device), ("top-node", job.Top), ("base-node", job.Base), ("base", job.BaseName), ("bottom", job.Bottom),
            ("backing-file", job.BackingFile), ("target", job.Target), ("sync", job.Sync), ("bitmap", job.Bitmap), ("granularity", job.Granularity),
            ("copy-mode", job.CopyMode), ("speed", job.Speed), (hasTarget ? "on-source-error" : "on-error", job.OnError),
            ("on-target-error", hasTarget ? job.OnError : null), ("auto-finalize", job.AutoFinalize), ("auto-dismiss", job.AutoDismiss),
        ];
        return new JsonObject(arguments.Where(static argument => argument.Value is not null).Select(static argument => KeyValuePair.Create(argument.Name, argument.Value)));
    }

    // Null, or the error's description.
    private async ValueTask<string?> ExecuteAsync(string command, JsonObject? arguments = null)
    {
        JsonElement answer = await AnswerToAsync(command, arguments ?? []);
        return answer.TryGetProperty("error", out JsonElement error) ? error.GetProperty("desc").GetString() : null;
    }

    private async ValueTask<JsonElement> AnswerToAsync(string command, JsonObject arguments)
    {
        await _process.StandardInput.WriteLineAsync(new JsonObject { ["execute"] = command, ["arguments"] = arguments }.ToJsonString());
        await _process.StandardInput.FlushAsync();
        while (true)
        {
            JsonElement told = await ReadAsync();
            if (told.TryGetProperty("event", out _))
            {
                _events.Enqueue(told);
            }
            else if (!told.TryGetProperty("QMP", out _)) // its greeting
            {
                return told;
            }
        }
    }

    private async ValueTask<JsonElement> ReadAsync()
    {
        return await _process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken) is { } line
            ? JsonSerializer.Deserialize<JsonElement>(line)
            : throw new InvalidOperationException($"{this} ended: {await _process.StandardError.ReadToEndAsync()}");
    }
}
