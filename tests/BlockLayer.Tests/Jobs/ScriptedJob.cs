using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.Primitives;
using BlockLayer.Storage;

namespace BlockLayer.Tests.Jobs;

/// <summary>A job that copies nothing and does what its test tells it: works until it is let go, becomes ready, fails where it is told to.</summary>
internal sealed class ScriptedJob : BlockJob
{
    private readonly Completion _mayEnd = new();
    private bool _endsWell; // told to complete, or cancelled softly while ready

    internal ScriptedJob(string id, BlockEnvironment environment, ScriptedJobOptions? options = null)
        : this(id, new StorageNode(new NullStorage(length: 0), environment), options)
    {
    }

    internal ScriptedJob(string id, BlockNode disk, ScriptedJobOptions? options = null)
        : base((options ??= new ScriptedJobOptions()) with { Id = id }, disk)
    {
        Options = options;
        Notified += (_, what) => Events.Add(what);
    }

    /// <inheritdoc/>
    public override string Kind => "scripted";

    /// <summary>What happened, in order.</summary>
    internal List<JobEvent> Events { get; } = [];

    /// <summary>The hooks that ran, in order.</summary>
    internal List<string> Hooks { get; } = [];

    internal IEnumerable<JobState> States => Events.OfType<JobStateChanged>().Select(change => change.State);

    /// <summary>Called in each hook.</summary>
    internal Action<string>? OnHook { get; set; }

    private ScriptedJobOptions Options { get; }

    private protected override long End => 100;

    /// <summary>Its work is over.</summary>
    internal void LetGo()
    {
        _mayEnd.Complete();
        Kick();
    }

    /// <summary>A step of its work fails.</summary>
    internal JobErrorAction FailStep(Exception error) => HandleError(CopyStep.Read, error);

    private protected override ValueTask SetUpAsync(CancellationToken cancellationToken) => Hook("set up");

    private protected override async Task WorkAsync(CancellationToken cancellationToken)
    {
        await Hook("work");
        if (Options.BecomesReady)
        {
            ReportProgress(End);
            BecomeReady();
        }

        while (!_mayEnd.IsCompleted && !_endsWell)
        {
            await CheckpointAsync(cancellationToken);
            await IdleAsync(cancellationToken);
        }
    }

    private protected override ValueTask PrepareAsync() => Hook("prepare");

    private protected override ValueTask CommitAsync() => Hook("commit");

    private protected override ValueTask CleanUpAsync() => Hook("clean up");

    private protected override void OnComplete() => _endsWell = true;

    private protected override bool TryEndWell() => _endsWell = State is JobState.Ready or JobState.Standby;

    private ValueTask Hook(string name)
    {
        Hooks.Add(name);
        OnHook?.Invoke(name);
        return Options.FailsAt == name ? throw new BlockLayerException(BlockErrorKind.Io, $"{name} fails") : ValueTask.CompletedTask;
    }
}
